"""LeRobotDataset import: datasets that were written elsewhere, robots' demonstrations above all, as captures.

Frames are resized to the game's size and encoded again. The task's sentence becomes the instruction. The last step of
an episode not known to have failed gets the control that means `episode.end`, where the game has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from games import Action, ActionError, Axis, Game, GameSpec
from games.resize import resize_frame
from recorder.capture.writer import DISK_NEEDED, CaptureWriter
from recorder.format.manifest import CaptureError, CaptureInfo
from recorder.formats.lerobot.source import CHUNK, EpisodeLocation, ForeignDataset
from recorder.open import closed_captures


@dataclass(frozen=True)
class ActionColumns:
    """The column of a dataset that holds a game's actions, and the indices used of it (all where empty)."""

    column: str = "action"
    indices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Imported:
    """Number of new episodes, and the share of their axes' values beyond the game's range, which were clipped to it.

    A large share means that the dataset has another unit.
    """

    episodes: int
    clipped: float = 0.0


def import_lerobot(
    root: Path,
    out: Path,
    game: Game,
    *,
    camera: str = "",
    columns: ActionColumns | None = None,
    disk_needed: int = DISK_NEEDED,
    chunk: int = CHUNK,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Write each episode of the dataset at `root` as a capture of `game` under `out`.

    `camera` names the column of frames where there are several. Episodes that `out` already holds are skipped, so that
    an interrupted import continues. Videos are decoded `chunk` frames at a time. Raises `CaptureError` in one line for
    what is no such dataset or does not fit.
    """
    dataset = ForeignDataset(root, chunk)
    job = _Job(dataset, game, dataset.camera(camera), columns or ActionColumns(), out, disk_needed)
    dataset.column(job.columns.column)
    name = root.resolve().name
    imported = {e.header.seed for e in closed_captures(out) if e.header.author == name}
    new = [location for location in dataset.episodes if location.number not in imported]
    shares = []
    for done, location in enumerate(new, start=1):
        shares.append(job.write(location))
        if progress:
            progress(done, len(new))
    return Imported(len(new), round(float(np.mean(shares)), 4) if shares else 0.0)


@dataclass(frozen=True)
class _Job:
    """One import: dataset, columns, game and folder."""

    dataset: ForeignDataset
    game: Game
    camera: str
    columns: ActionColumns
    out: Path
    disk_needed: int

    def write(self, location: EpisodeLocation) -> float:
        """Write one episode, read to its end first; returns the share of values that were clipped."""
        spec = self.game.spec.model_copy(update={"step_hz": self.dataset.rate})
        steps = self.dataset.steps(location, self.columns.column)
        episode_name = f"{self.dataset.root}, episode {location.number}"
        wanted = _actions(self._picked(steps.actions, episode_name), self.game, episode_name)
        actions = [spec.normalize(action) for action in wanted]
        if steps.success is not False:
            actions[-1] |= {c.name: 1 for c in spec.controls if c.meaning == "episode.end"}
        frames = [
            resize_frame(frame, spec.frame.height, spec.frame.width)
            for frame in self.dataset.frames(location, self.camera)
        ]
        info = CaptureInfo(
            instruction=steps.task,
            task=spec.name,
            seed=location.number,
            author=self.dataset.root.resolve().name,
            success=steps.success,
        )
        with CaptureWriter.create(self.out, spec, info, disk_needed=self.disk_needed) as capture:
            for frame, action in zip(frames, actions, strict=True):
                capture.step(frame, action)
            capture.close(success=steps.success)
        return _beyond(wanted, spec)

    def _picked(self, rows: NDArray[np.float32], episode_name: str) -> NDArray[np.float32]:
        indices = self.columns.indices or tuple(range(rows.shape[1]))
        if missing := [n for n in indices if not 0 <= n < rows.shape[1]]:
            raise CaptureError(
                f"{episode_name}: actions of {rows.shape[1]} numbers, counted from 0, have no {missing[0]}"
            )
        if not np.isfinite(picked := rows[:, indices]).all():
            raise CaptureError(f"{episode_name}: actions that are not finite")
        return picked


def _actions(rows: NDArray[np.float32], game: Game, episode_name: str) -> list[Action]:
    """The actions of rows of numbers, not yet moved to the game's bins."""
    names = [c.name for c in game.spec.controls if c.meaning != "episode.end"]
    read = game.from_vector or (lambda vector: dict(zip(names, vector, strict=True)))
    try:
        actions = [read(row) for row in rows.tolist()]
        game.spec.normalize(actions[0])
    except (ActionError, ValueError, IndexError) as error:
        raise CaptureError(
            f"{episode_name}: an action of {rows.shape[1]} numbers is none of {game.spec.id}: {error}"
        ) from None
    return actions


def _beyond(actions: Sequence[Action], spec: GameSpec) -> float:
    """The share of axes' values outside of their range."""
    axes = [c for c in spec.controls if isinstance(c, Axis)]
    slack = 1e-6
    out_of_range = [
        not c.low - slack <= action[c.name] <= c.high + slack
        for action in actions
        for c in axes
        if c.name in action
    ]
    return float(np.mean(out_of_range)) if out_of_range else 0.0

"""How do LeRobotDatasets of others become captures here? Robots' demonstrations above all.

Pictures come to the game's frame size and are encoded anew; the task's sentence becomes the instruction; the last step
of an episode not known to have failed gets the control that means `episode.end`, where the game has one.
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
from recorder.formats.lerobot.source import EpisodeLocation, ForeignDataset
from recorder.open import whole_captures


@dataclass(frozen=True)
class ActionColumns:
    """Where a game's row of numbers is in a dataset: a column, and which numbers of it (all, where none is named)."""

    column: str = "action"
    indices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Imported:
    """How many episodes are new, and the share of their axes' numbers that lay beyond the game's range (moved to its
    end): much of it means another unit."""

    episodes: int
    clipped: float = 0.0


def import_lerobot(
    root: Path,
    out: Path,
    game: Game,
    *,
    camera: str = "",
    numbers: ActionColumns | None = None,
    disk_needed: int = DISK_NEEDED,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Write each episode of the dataset at `root` as a capture of `game` under `out`.

    `camera` names the picture column where there are several. Episodes that `out` already holds are passed over, so
    that a broken import is gone on with. Raises `CaptureError` in one line for what is no such dataset or does not fit.
    """
    dataset = ForeignDataset(root)
    job = _Job(dataset, game, dataset.camera(camera), numbers or ActionColumns(), out, disk_needed)
    dataset.column(job.numbers.column)
    name = root.resolve().name
    have = {e.header.seed for e in whole_captures(out) if e.header.author == name}
    new = [place for place in dataset.episodes if place.number not in have]
    shares = []
    for done, place in enumerate(new, start=1):
        shares.append(job.write(place))
        if progress:
            progress(done, len(new))
    return Imported(len(new), round(float(np.mean(shares)), 4) if shares else 0.0)


@dataclass(frozen=True)
class _Job:
    """One import: what is read as what, and where it goes."""

    dataset: ForeignDataset
    game: Game
    camera: str
    numbers: ActionColumns
    out: Path
    disk_needed: int

    def write(self, place: EpisodeLocation) -> float:
        """One episode, read to its end before anything of it is written; returns the share that was clipped."""
        spec = self.game.spec.model_copy(update={"step_hz": self.dataset.rate})
        steps = self.dataset.steps(place, self.numbers.column)
        where = f"{self.dataset.root}, episode {place.number}"
        wanted = _actions(self._picked(steps.actions, where), self.game, where)
        actions = [spec.normalize(action) for action in wanted]
        if steps.success is not False:
            actions[-1] |= {c.name: 1 for c in spec.controls if c.meaning == "episode.end"}
        frames = [
            resize_frame(picture, spec.frame.height, spec.frame.width)
            for picture in self.dataset.pictures(place, self.camera)
        ]
        about = CaptureInfo(
            instruction=steps.task,
            task=spec.name,
            seed=place.number,
            author=self.dataset.root.resolve().name,
            success=steps.success,
        )
        with CaptureWriter.create(self.out, spec, about, disk_needed=self.disk_needed) as capture:
            for frame, action in zip(frames, actions, strict=True):
                capture.step(frame, action)
            capture.close(success=steps.success)
        return _beyond(wanted, spec)

    def _picked(self, rows: NDArray[np.float32], where: str) -> NDArray[np.float32]:
        which = self.numbers.indices or tuple(range(rows.shape[1]))
        if missing := [n for n in which if not 0 <= n < rows.shape[1]]:
            raise CaptureError(
                f"{where}: actions of {rows.shape[1]} numbers, counted from 0, have no {missing[0]}"
            )
        if not np.isfinite(picked := rows[:, which]).all():
            raise CaptureError(f"{where}: actions that are not finite")
        return picked


def _actions(rows: NDArray[np.float32], game: Game, where: str) -> list[Action]:
    """The actions of rows of numbers, not yet moved to the game's bins."""
    names = [c.name for c in game.spec.controls if c.meaning != "episode.end"]
    read = game.from_vector or (lambda vector: dict(zip(names, vector, strict=True)))
    try:
        actions = [read(row) for row in rows.tolist()]
        game.spec.normalize(actions[0])
    except (ActionError, ValueError, IndexError) as error:
        raise CaptureError(
            f"{where}: an action of {rows.shape[1]} numbers is none of {game.spec.id}: {error}"
        ) from None
    return actions


def _beyond(actions: Sequence[Action], spec: GameSpec) -> float:
    """The share of axes' numbers outside of their range."""
    axes = [c for c in spec.controls if isinstance(c, Axis)]
    slack = 1e-6
    found = [
        not c.low - slack <= action[c.name] <= c.high + slack
        for action in actions
        for c in axes
        if c.name in action
    ]
    return float(np.mean(found)) if found else 0.0

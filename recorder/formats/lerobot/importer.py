"""LeRobotDataset import: datasets that were written elsewhere, robots' demonstrations above all, as captures.

Frames are resized to the game's size and encoded again. The task's sentence becomes the instruction. The last step of
an episode not known to have failed gets the control that means `episode.end`, where the game has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from games import Action, ActionError, Axis, Camera, Game, GameSpec
from games.resize import resize_frame
from recorder.capture.writer import DISK_NEEDED
from recorder.format.manifest import CaptureError, CaptureInfo, ImportSource
from recorder.formats.import_job import ImportJob, ImportReport
from recorder.formats.lerobot.metadata import EpisodeEntry
from recorder.formats.lerobot.rows import MAX_WIDTH
from recorder.formats.lerobot.source import EpisodeActions, ForeignDataset

WIDEST = 64
"""Widest action vector that is tried, for a message that says what a game reads."""
_ERRORS = (ActionError, ValueError, TypeError, LookupError)
"""What a game raises for a vector that is none of its actions."""


@dataclass(frozen=True)
class ActionColumns:
    """The column of a dataset that holds a game's actions, and the indices used of it (all where empty)."""

    column: str = "action"
    indices: tuple[int, ...] = ()


def import_lerobot(
    root: Path,
    out: Path,
    game: Game,
    *,
    camera: str = "",
    columns: ActionColumns | None = None,
    strict: bool = False,
    disk_needed: int = DISK_NEEDED,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write each episode of the dataset at `root` as a capture of `game` under `out`.

    `camera` names the column of frames where there are several. Episodes that `out` holds are passed over; those that
    cannot be read, or whose frames are not certainly those of their steps, are skipped and named. Raises `CaptureError`
    in one line for what is no such dataset or does not fit the game at all, and, with `strict`, instead of skipping.
    `progress(done, total)` per episode.
    """
    dataset = ForeignDataset(root)
    importer = _Importer(dataset, game, dataset.camera(camera), columns or ActionColumns())
    importer.check_column()
    job = ImportJob(out, strict=strict, disk_needed=disk_needed)
    for part in dataset.skipped:
        job.skip(f"{root.name}, {part.source}", part.why)
    for done, entry in enumerate(dataset.episodes, start=1):
        name = f"{root.name}, episode {entry.number}"
        with job.reading(name):
            importer.write(job, entry, name)
        if progress:
            progress(done, len(dataset.episodes))
    return job.report()


@dataclass(frozen=True)
class _Importer:
    """What all episodes of one import have in common."""

    dataset: ForeignDataset
    game: Game
    camera: str
    columns: ActionColumns

    def check_column(self) -> None:
        """Raise `CaptureError` where there is no such column, or its vectors are none of the game's actions."""
        width = self.dataset.width(self.dataset.column(self.columns.column))
        if width is not None:
            self._check_width(width)

    def _check_width(self, width: int) -> None:
        """Raise `CaptureError`, with the way out, where vectors of so many numbers are none of the game's actions."""
        column, indices = self.columns.column, self.columns.indices
        if missing := [n for n in indices if not 0 <= n < width]:
            raise CaptureError(
                f"{column!r} of {width} numbers, counted from 0, has no {missing[0]}"
            )
        used = len(indices) or width
        if used <= MAX_WIDTH and _is_read(self.game, used):
            return
        read = next((n for n in range(1, WIDEST + 1) if _is_read(self.game, n)), None)
        if read is None:  # the game does not read zeros: its rows are asked one by one
            return
        chosen = f", of which {used} are used" if indices else ""
        line = f"{column!r} has {width} numbers a step{chosen}; {self.game.spec.id} reads {read}"
        if width > read:
            line += ": choose them with --numbers, in the game's order, such as --numbers "
            line += " ".join(map(str, range(read))) + _named(self.dataset.number_names(column))
        raise CaptureError(line)

    def write(self, job: ImportJob, entry: EpisodeEntry, name: str) -> None:
        """Write one episode, unless it is there."""
        dataset = self.dataset
        steps = dataset.steps(entry, self.columns.column)
        if any(job.holds(source) for source in self._sources(entry, steps, name)):
            return
        spec = self.game.spec.model_copy(update={"step_hz": dataset.info.rate})
        actions = self._actions(steps.actions)
        frames = dataset.frames(entry, steps, self.camera)
        info = CaptureInfo(
            instruction=steps.task,
            task=spec.name,
            seed=entry.number,
            author=dataset.root.resolve().name,
            success=steps.success,
        )
        source = self._source(entry, steps, name, self.camera)
        with job.capture(spec, info, source) as capture:
            for frame, action in zip(frames, actions, strict=False):
                is_last = capture.steps == len(actions) - 1
                ends = _ending(spec) if is_last and steps.success is not False else {}
                resized = resize_frame(frame, spec.frame.height, spec.frame.width)
                capture.step(resized, {**action, **ends})
            if capture.steps != len(actions):
                raise CaptureError(f"{capture.steps} frames for {len(actions)} steps")
            capture.close(success=steps.success)
            job.clip(*_beyond(actions, spec, name))

    def _sources(
        self, entry: EpisodeEntry, steps: EpisodeActions, name: str
    ) -> Iterator[ImportSource]:
        """The identity of an episode, and those that it has in an import of another camera."""
        yield self._source(entry, steps, name, self.camera)
        for camera in self.dataset.cameras:
            if camera != self.camera:
                with suppress(CaptureError):  # that camera's file may be missing
                    yield self._source(entry, steps, name, camera)

    def _source(
        self, entry: EpisodeEntry, steps: EpisodeActions, name: str, camera: str
    ) -> ImportSource:
        numbers = " ".join(map(str, self.columns.indices)) or "all"
        return ImportSource(
            name=name,
            sha256=self.dataset.content_hash(entry, steps, camera),
            options=f"{self.game.spec.id}, camera {self.camera}, numbers {numbers} of {self.columns.column}",
        )

    def _actions(self, rows: NDArray[np.float64]) -> list[Action]:
        """The actions of rows of numbers, not yet moved to the game's bins."""
        self._check_width(rows.shape[1])
        picked = rows[:, self.columns.indices] if self.columns.indices else rows
        actions = []
        for step, row in enumerate(picked.tolist()):
            try:
                action = _read(self.game, row)
                self.game.spec.normalize(action)
            except _ERRORS as error:
                raise CaptureError(
                    f"step {step}: an action of {len(row)} numbers is none of {self.game.spec.id}: {error}"
                ) from None
            actions.append(action)
        return actions


def _read(game: Game, vector: Sequence[float]) -> Action:
    """A vector as an action of a game."""
    if game.from_vector:
        return game.from_vector(vector)
    names = [c.name for c in game.spec.controls if c.meaning != "episode.end"]
    if len(vector) != len(names):
        raise ActionError(f"{len(names)} numbers ({', '.join(names)}), got {len(vector)}")
    return dict(zip(names, vector, strict=True))


def _is_read(game: Game, width: int) -> bool:
    """Whether a game reads vectors of so many numbers."""
    try:
        game.spec.normalize(_read(game, [0.0] * width))
    except _ERRORS:
        return False
    return True


def _named(names: Sequence[str]) -> str:
    """The numbers of a dataset by their names, for a message."""
    shown = [f"{i} {name[:32]}" for i, name in enumerate(names[:WIDEST]) if name.isprintable()]
    return f" ({', '.join(shown)})" if shown else ""


def _ending(spec: GameSpec) -> Action:
    return {c.name: 1 for c in spec.controls if c.meaning == "episode.end"}


def _beyond(actions: Sequence[Action], spec: GameSpec, name: str) -> tuple[int, str]:
    """The number of steps with a value beyond the game's range, and the worst control in words."""
    beyond = np.zeros(len(actions), bool)
    worst, line = 0.0, ""
    for control, low, high, values in _axes(actions, spec):
        slack = 1e-6
        is_out = (values < low - slack) | (values > high + slack)
        beyond |= is_out
        if is_out.mean() > worst:
            worst, largest = float(is_out.mean()), values[np.abs(values).argmax()]
            line = (
                f"{name}: {100 * worst:.3g} % of the values of {control} lie outside of {low:g} to {high:g} "
                f"(largest {largest:g}): is it another unit? They are clipped"
            )
    return int(beyond.sum()), line


def _axes(
    actions: Sequence[Action], spec: GameSpec
) -> Iterator[tuple[str, float, float, NDArray[np.float64]]]:
    """Name, bounds and values (T,) of each axis and of both directions of a camera."""
    for control in spec.controls:
        values = np.array([action.get(control.name, control.null) for action in actions])
        if isinstance(control, Axis):
            yield control.name, control.low, control.high, values
        elif isinstance(control, Camera):
            for i, bins in enumerate((control.pitch_bins, control.yaw_bins)):
                direction = ("pitch", "yaw")[i]
                yield f"{control.name}.{direction}", bins[0], bins[-1], values[:, i]

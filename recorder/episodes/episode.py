"""What is in an episode? Captures read back as steps, frames, words and random windows."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from games import Action, GameSpec, did_you_mean
from games.validation_error import first_error
from recorder.format.manifest import (
    ACTIONS,
    FRAMES,
    TEXT,
    VIDEO,
    CaptureError,
    CaptureInfo,
    Manifest,
    Style,
    TextSpan,
    read_lines,
    read_manifest,
)
from recorder.format.video import VideoSlice, frame_rate


@dataclass(frozen=True)
class Window:
    """Consecutive (or every `stride`-th) steps: frames (T, H, W, 3) uint8 and their actions."""

    frames: NDArray[np.uint8]
    actions: list[Action]
    executed: list[Action]
    instruction: str
    thought: str


class Episode:
    """One recorded episode; files are read when first asked for."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path) -> Episode:
        """Read the manifest; raises `CaptureError` with one line where it is missing or broken."""
        return cls(folder, read_manifest(folder))

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def spec(self) -> GameSpec:
        return self.manifest.spec

    @property
    def header(self) -> CaptureInfo:
        return self.manifest.info

    @property
    def video(self) -> VideoSlice:
        """Where the frames are."""
        return VideoSlice(self.folder / VIDEO, frame_rate(self.spec), self.spec.frame.shape)

    def __len__(self) -> int:
        return self.manifest.steps if self.manifest.steps is not None else len(self._rows)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        rows = read_lines(self.folder / ACTIONS)
        if any("human" not in row or "agent" not in row for row in rows):
            raise CaptureError(f"{self.folder / ACTIONS}: a line has no action")
        if self.manifest.steps is not None and len(rows) < self.manifest.steps:
            raise CaptureError(
                f"{self.folder}: {len(rows)} actions for {self.manifest.steps} steps"
            )
        return rows

    @cached_property
    def actions(self) -> list[Action]:
        """What the player or teacher wanted, step by step: the targets of training."""
        null = self.spec.null_action()
        return [{**null, **_tuples(row["human"])} for row in self._rows[: len(self)]]

    @cached_property
    def executed(self) -> list[Action]:
        """What the game really did, step by step."""
        null = self.spec.null_action()
        return [
            wanted if row["agent"] is None else {**null, **_tuples(row["agent"])}
            for wanted, row in zip(self.actions, self._rows, strict=False)
        ]

    @cached_property
    def rewards(self) -> list[float]:
        return [float(row.get("reward", 0.0)) for row in self._rows[: len(self)]]

    @cached_property
    def observed(self) -> list[bool]:
        """Whether each step's action was really observed; False where it was guessed afterwards."""
        return [bool(row.get("known", True)) for row in self._rows[: len(self)]]

    @cached_property
    def dropped_before(self) -> dict[int, int]:
        """Steps of the game missing before a step, by step; empty for an unbroken episode."""
        rows = read_lines(self.folder / FRAMES)[: len(self)]
        return {i: row["dropped_before"] for i, row in enumerate(rows) if row["dropped_before"]}

    @cached_property
    def texts(self) -> tuple[TextSpan, ...]:
        """Everything said about this episode, without what a later text replaces."""
        return drop_superseded(self.all_texts)

    @cached_property
    def all_texts(self) -> tuple[TextSpan, ...]:
        """Everything said about this episode, in the order it was written."""
        try:
            return tuple(TextSpan.model_validate(row) for row in read_lines(self.folder / TEXT))
        except ValidationError as error:
            raise CaptureError(f"{self.folder / TEXT}: {first_error(error)}") from None

    @cached_property
    def thoughts(self) -> list[str]:
        """The thought in force at each step, "" where there is none."""
        return self._active_text("thought")

    @cached_property
    def captions(self) -> list[str]:
        """What is said to happen at each step, or its label; "" where there is none."""
        return self._active_text("caption")

    def _active_text(self, style: Style) -> list[str]:
        spans = [span for span in self.texts if span.style == style]
        marks = {span.i1: "" for span in spans if span.i1 is not None}
        marks |= {span.i0: span.text for span in spans}
        said, now = [], ""
        for i in range(len(self)):
            now = marks.get(i, now)
            said.append(now)
        return said

    def thought_at(self, i: int) -> str:
        """The thought in force at step i, "" where there is none."""
        return self.thoughts[i]

    def frames(self, start: int = 0, stop: int | None = None, stride: int = 1) -> NDArray[np.uint8]:
        """Frames `start` to `stop` (exclusive), every `stride`-th: (T, H, W, 3) uint8 RGB."""
        stop = len(self) if stop is None else min(stop, len(self))
        return self.video.read(range(start, stop, stride))

    def window(self, start: int, length: int, stride: int = 1) -> Window:
        """`length` steps from `start`, every `stride`-th; raises `IndexError` where they do not fit."""
        last = start + (length - 1) * stride
        if start < 0 or last >= len(self):
            raise IndexError(f"steps {start}..{last} of an episode of {len(self)}")
        picked = range(start, last + 1, stride)
        return Window(
            self.frames(start, last + 1, stride),
            [self.actions[i] for i in picked],
            [self.executed[i] for i in picked],
            self.header.instruction,
            self.thoughts[last],
        )


class EpisodeSet(Sequence[Episode]):
    """Episodes in the order of their ids."""

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._episodes = list(episodes)

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> EpisodeSet: ...
    def __getitem__(self, index: int | slice) -> Episode | EpisodeSet:
        if isinstance(index, slice):
            return EpisodeSet(self._episodes[index])
        return self._episodes[index]

    def __len__(self) -> int:
        return len(self._episodes)

    def __iter__(self) -> Iterator[Episode]:
        return iter(self._episodes)

    @property
    def steps(self) -> int:
        return sum(len(episode) for episode in self)

    def succeeded(self) -> EpisodeSet:
        """Without the episodes known to have failed."""
        return EpisodeSet([e for e in self if e.header.success is not False])

    def of_tasks(self, tasks: Collection[str]) -> EpisodeSet:
        """The episodes of these tasks only; raises `CaptureError` for a task nobody recorded."""
        known = {e.header.task for e in self}
        for task in tasks:
            if task not in known:
                raise CaptureError(f"no episodes of task {task!r}{did_you_mean(task, known)}")
        return EpisodeSet([e for e in self if e.header.task in tasks])

    def split(self, validation: float) -> tuple[EpisodeSet, EpisodeSet]:
        """Training and validation episodes, parted by seed: no seed is on both sides."""
        held = [_share(e) < validation for e in self]
        return (
            EpisodeSet([e for e, h in zip(self, held, strict=True) if not h]),
            EpisodeSet([e for e, h in zip(self, held, strict=True) if h]),
        )

    def random_window(self, rng: np.random.Generator, length: int, stride: int = 1) -> Window:
        """A window drawn evenly over all steps at which one fits."""
        span = (length - 1) * stride
        room = np.array([max(0, len(e) - span) for e in self])
        if not room.sum():
            raise CaptureError(f"no episode holds {length} steps at stride {stride}")
        which = int(rng.choice(len(room), p=room / room.sum()))
        return self[which].window(int(rng.integers(room[which])), length, stride)


def drop_superseded(texts: Sequence[TextSpan]) -> tuple[TextSpan, ...]:
    """The texts that no later one supersedes."""
    replaced = {span.supersedes for span in texts}
    return tuple(span for span in texts if span.id not in replaced)


def _share(episode: Episode) -> float:
    """A fixed number in [0, 1) for the episode's seed (its id where it has none)."""
    key = episode.id if episode.header.seed is None else f"seed {episode.header.seed}"
    return zlib.crc32(json.dumps(key).encode()) / 2**32


def _tuples(action: dict[str, Any]) -> Action:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in action.items()}

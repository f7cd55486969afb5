"""Episodes: captures read back as actions, frames and texts, and sets of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from games import Action, GameSpec
from recorder.format.actions import Step, read_steps
from recorder.format.frames import read_frame_rows
from recorder.format.manifest import (
    ACTIONS,
    FRAMES,
    VIDEO,
    CaptureError,
    CaptureInfo,
    Manifest,
    Skipped,
    Style,
    TextSpan,
    read_manifest,
    read_texts,
)
from recorder.format.video import VideoSlice, frame_rate


@dataclass
class StepColumns:
    """The steps of an episode, a list per key."""

    actions: list[Action] = field(default_factory=list)
    executed: list[Action] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    observed: list[bool] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    agent_actions: list[Action | None] = field(default_factory=list)

    def append(self, step: Step) -> None:
        self.actions.append(step.action)
        self.executed.append(step.executed)
        self.by.append(step.by)
        self.observed.append(step.observed)
        self.rewards.append(step.reward)
        self.agent_actions.append(step.agent_action)


class Episode:
    """One recorded episode; files are read when first asked for.

    Whatever a file holds, reading it succeeds or raises `CaptureError` with the names of the file and the line.
    """

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

    @property
    def size_bytes(self) -> int:
        """Size of its files on the disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def __len__(self) -> int:
        return self.manifest.steps if self.manifest.steps is not None else len(self._steps.actions)

    @cached_property
    def _steps(self) -> StepColumns:
        steps = self.manifest.steps
        rows = read_steps(self.folder, self.spec, self.header.actor)
        columns = StepColumns()
        for row in islice(rows, steps):
            columns.append(row)
        if steps is not None and len(columns.actions) < steps:
            count = len(columns.actions)
            raise CaptureError(f"{self.folder / ACTIONS}: {count} actions for {steps} steps")
        return columns

    @property
    def actions(self) -> list[Action]:
        """What the player or expert wanted at each step: the targets of training.

        Equal ones are one object, here and in `executed`: they are not to be changed.
        """
        return self._steps.actions

    @property
    def executed(self) -> list[Action]:
        """What the game did at each step."""
        return self._steps.executed

    @property
    def agent_actions(self) -> list[Action | None]:
        """What the agent wanted at each step where a person had taken over; None elsewhere."""
        return self._steps.agent_actions

    @property
    def by(self) -> list[str]:
        """Who acted at each step: human, agent, expert, nobody, …"""
        return self._steps.by

    @property
    def rewards(self) -> list[float]:
        """The reward of each step, finite."""
        return self._steps.rewards

    @property
    def observed(self) -> list[bool]:
        """Whether each step's action was observed; False where it was guessed afterwards."""
        return self._steps.observed

    @cached_property
    def dropped_before(self) -> dict[int, int]:
        """Steps of the game missing before a step, by step; empty for an unbroken episode."""
        dropped, count = {}, 0
        for i, row in enumerate(islice(read_frame_rows(self.folder), len(self))):
            count += 1
            if row.dropped_before:
                dropped[i] = row.dropped_before
        if count < len(self):
            raise CaptureError(f"{self.folder / FRAMES}: {count} frames for {len(self)} steps")
        return dropped

    @cached_property
    def texts(self) -> tuple[TextSpan, ...]:
        """The texts about this episode, without those that a later one supersedes."""
        return drop_superseded(self.all_texts)

    @cached_property
    def all_texts(self) -> tuple[TextSpan, ...]:
        """All texts about this episode, in the order they were written."""
        return tuple(read_texts(self.folder))

    @cached_property
    def thoughts(self) -> list[str]:
        """The thought active at each step, "" where there is none."""
        return self._active_text("thought")

    @cached_property
    def captions(self) -> list[str]:
        """The caption (or label) active at each step, "" where there is none."""
        return self._active_text("caption")

    @cached_property
    def instructions(self) -> list[str]:
        """The instruction in force at each step: the header's until another is given, and where one is taken back."""
        given = self._active_text("instruction")
        return [text or self.header.instruction for text in given]

    def _active_text(self, style: Style) -> list[str]:
        spans = [span for span in self.texts if span.style == style]
        changes = {span.i1: "" for span in spans if span.i1 is not None}
        changes |= {span.i0: span.text for span in spans}
        texts, active = [], ""
        for i in range(len(self)):
            active = changes.get(i, active)
            texts.append(active)
        return texts

    def frames(self, start: int = 0, stop: int | None = None, stride: int = 1) -> NDArray[np.uint8]:
        """Frames `start` to `stop` (exclusive), every `stride`-th: (T, H, W, 3) uint8 RGB."""
        stop = len(self) if stop is None else min(stop, len(self))
        return self.video.read(range(start, stop, stride))


class EpisodeSet(Sequence[Episode]):
    """Episodes in the order of their ids; `skipped` names those of the same place that cannot be read, and why."""

    def __init__(self, episodes: Sequence[Episode], skipped: Sequence[Skipped] = ()) -> None:
        self._episodes = list(episodes)
        self.skipped = tuple(skipped)

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

    @cached_property
    def steps(self) -> int:
        """Of all episodes; counted once, since progress asks for it at every one of many thousands."""
        return sum(len(episode) for episode in self)

    def split(self, validation: float) -> tuple[EpisodeSet, EpisodeSet]:
        """Training and validation episodes; those of one seed are in the same split."""
        in_validation = [_split_position(e) < validation for e in self]
        return (
            EpisodeSet([e for e, v in zip(self, in_validation, strict=True) if not v]),
            EpisodeSet([e for e, v in zip(self, in_validation, strict=True) if v]),
        )


def drop_superseded(texts: Sequence[TextSpan]) -> tuple[TextSpan, ...]:
    """The texts that no later one supersedes."""
    replaced = {span.supersedes for span in texts}
    return tuple(span for span in texts if span.id not in replaced)


def _split_position(episode: Episode) -> float:
    """A fixed number in [0, 1) for the episode's seed (its id where it has none)."""
    key = episode.id if episode.header.seed is None else f"seed {episode.header.seed}"
    return zlib.crc32(json.dumps(key).encode()) / 2**32

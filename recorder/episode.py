"""What is in an episode? Captures read back as steps, frames, words and random windows."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import av
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from games import Action, GameSpec
from recorder.layout import (
    ACTIONS,
    FORMAT,
    MANIFEST,
    TEXT,
    VIDEO,
    CaptureError,
    CaptureInfo,
    Manifest,
    TextSpan,
    read_lines,
)


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
        try:
            manifest = Manifest.model_validate_json((folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CaptureError(f"{folder} is no capture: it has no {MANIFEST}") from None
        except ValidationError as error:
            first = error.errors()[0]
            raise CaptureError(f"{folder / MANIFEST}: {first['msg']} at {first['loc']}") from None
        if manifest.format != FORMAT:
            raise CaptureError(f"{folder}: format {manifest.format}, this version reads {FORMAT}")
        return cls(folder, manifest)

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def spec(self) -> GameSpec:
        return self.manifest.spec

    @property
    def info(self) -> CaptureInfo:
        return self.manifest.info

    def __len__(self) -> int:
        return self.manifest.steps if self.manifest.steps is not None else len(self._rows)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return read_lines(self.folder / ACTIONS)

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
        return [row["reward"] for row in self._rows[: len(self)]]

    @cached_property
    def texts(self) -> tuple[TextSpan, ...]:
        return tuple(TextSpan.model_validate(row) for row in read_lines(self.folder / TEXT))

    @cached_property
    def thoughts(self) -> list[str]:
        """The thought in force at each step, "" where there is none."""
        marks = {span.i0: span.text for span in self.texts if span.style == "thought"}
        thoughts, now = [], ""
        for i in range(len(self)):
            now = marks.get(i, now)
            thoughts.append(now)
        return thoughts

    def frames(self, start: int = 0, stop: int | None = None, stride: int = 1) -> NDArray[np.uint8]:
        """Frames `start` to `stop` (exclusive), every `stride`-th: (T, H, W, 3) uint8 RGB."""
        stop = len(self) if stop is None else min(stop, len(self))
        wanted = range(start, stop, stride)
        out = np.empty((len(wanted), *self.spec.frame.shape), np.uint8)
        filled = 0
        with av.open(str(self.folder / VIDEO)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            tick = float(stream.time_base or 1) * round(self.spec.step_hz)  # pts to step number
            if start:
                container.seek(int(start / tick), stream=stream)
            for picture in container.decode(stream):
                i = round((picture.pts or 0) * tick)
                if i in wanted:
                    out[filled] = picture.to_ndarray(format="rgb24")
                    filled += 1
                if i >= stop - 1 or filled == len(wanted):
                    break
        if filled != len(wanted):
            raise CaptureError(
                f"{self.folder}: {filled} of {len(wanted)} frames; run `iafm episodes recover`"
            )
        return out

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
            self.info.instruction,
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
        return EpisodeSet([e for e in self if e.info.success is not False])

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


def open_episodes(path: Path | str) -> EpisodeSet:
    """All finished captures under a folder; raises `CaptureError` where there are none."""
    root = Path(path)
    if (root / MANIFEST).exists():
        return EpisodeSet([Episode.open(root)])
    folders = sorted(p.parent for p in root.glob(f"*/{MANIFEST}")) if root.is_dir() else []
    episodes = [Episode.open(folder) for folder in folders]
    finished = [e for e in episodes if e.manifest.status != "recording"]
    if not finished:
        unfinished = (
            f" ({len(episodes)} unfinished: run `iafm episodes recover`)" if episodes else ""
        )
        raise CaptureError(f"no episodes in {root}{unfinished}; record some with `iafm record`")
    return EpisodeSet(finished)


def _share(episode: Episode) -> float:
    """A fixed number in [0, 1) for the episode's seed (its id where it has none)."""
    key = episode.id if episode.info.seed is None else f"seed {episode.info.seed}"
    return zlib.crc32(json.dumps(key).encode()) / 2**32


def _tuples(action: dict[str, Any]) -> Action:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in action.items()}

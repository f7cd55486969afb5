"""Reader of exported datasets: the episodes of a LeRobotDataset v3.0 that `export_lerobot` wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from games import Action, GameSpec
from recorder.episodes.episode import Episode, EpisodeSet, drop_superseded
from recorder.episodes.readable import pictures_size
from recorder.format.manifest import CaptureError, Skipped, TextSpan
from recorder.format.video import VideoSlice, frame_rate
from recorder.formats.lerobot.damage import damage_of
from recorder.formats.lerobot.schema import (
    CAMERA,
    EPISODES,
    FILES_PER_CHUNK,
    INFO,
    OWN_EPISODES,
    OWN_SPEC,
    VERSION,
    Extras,
    data_file,
    video_file,
)
from recorder.formats.lerobot.vectors import from_rows


@dataclass(frozen=True)
class EpisodeRow:
    """An episode's line in `meta/episodes`: how long it is, and where in which files."""

    length: int
    first_row: int
    """Number of its first row in the dataset."""
    data_file: int
    video_file: int
    start_s: float
    """Second of the video at which it begins."""


class ExportedEpisode(Episode):
    """One episode of a dataset; `first_frame` is the number of its first frame in its video.

    Whatever its files hold, reading it succeeds or raises `CaptureError`.
    """

    def __init__(self, root: Path, extras: Extras, row: EpisodeRow, first_frame: int) -> None:
        super().__init__(root, extras.manifest)
        self._extras = extras
        self._row = row
        self._first_frame = first_frame

    @property
    def video(self) -> VideoSlice:
        path = self.folder / video_file(self._row.video_file)
        return VideoSlice(path, frame_rate(self.spec), self.spec.frame.shape, self._first_frame)

    @property
    def size_bytes(self) -> int:
        """Size of its pictures: the rest is shared with others, and small."""
        return pictures_size(self.video, len(self))

    def __len__(self) -> int:
        return self._row.length

    @cached_property
    def actions(self) -> list[Action]:
        path = self.folder / data_file(self._row.data_file)
        with damage_of(path):
            numbers, rows = _read_actions(path, path.stat().st_mtime_ns)
            begin = self._row.first_row - int(numbers[0])
            own = slice(max(begin, 0), max(begin, 0) + len(self))
            if not np.array_equal(numbers[own], self._row.first_row + np.arange(len(self))):
                raise CaptureError(f"{path} does not have the rows of {self.id}")
            rows = rows[own]
            if not np.isfinite(rows).all():
                raise CaptureError(f"{path}: {self.id} has actions that are not finite")
            actions = from_rows(self.spec, rows)
            for i, words in self._extras.words.items():
                actions[i] = self.spec.normalize({**actions[i], **words})
        return actions

    @cached_property
    def executed(self) -> list[Action]:
        done = self._sparse(self._extras.executed)
        return [done.get(i, action) for i, action in enumerate(self.actions)]

    @cached_property
    def agent_actions(self) -> list[Action | None]:
        advice = self._sparse(self._extras.agent_actions)
        return [advice.get(i) for i in range(len(self))]

    def _sparse(self, rows: dict[int, dict[str, Any]]) -> dict[int, Action]:
        """The complete actions of those steps that have one."""
        with damage_of(f"{OWN_EPISODES}, {self.id}"):
            return {i: self.spec.normalize(action) for i, action in rows.items()}

    @cached_property
    def rewards(self) -> list[float]:
        return [self._extras.rewards.get(i, 0.0) for i in range(len(self))]

    @cached_property
    def by(self) -> list[str]:
        return [self._extras.by.get(i, self.header.actor) for i in range(len(self))]

    @cached_property
    def observed(self) -> list[bool]:
        return [i not in self._extras.unobserved for i in range(len(self))]

    @cached_property
    def dropped_before(self) -> dict[int, int]:
        return self._extras.dropped_before

    @cached_property
    def texts(self) -> tuple[TextSpan, ...]:
        return drop_superseded(self._extras.texts)

    @cached_property
    def all_texts(self) -> tuple[TextSpan, ...]:
        return self._extras.texts


def is_dataset(root: Path) -> bool:
    return (root / INFO).exists()


def open_dataset(root: Path) -> EpisodeSet:
    """The episodes of a dataset written by `export_lerobot`; raises `CaptureError` for any other.

    An episode whose line in `meta/episodes` or `meta/iafm` is damaged is in the result's `skipped`.
    """
    with damage_of(root / INFO):
        info = json.loads((root / INFO).read_text(encoding="utf-8"))
        if info["codebase_version"] != VERSION:
            raise CaptureError(f"{root}: LeRobot {info['codebase_version']}, this reads {VERSION}")
    if not (root / OWN_SPEC).exists():
        raise CaptureError(f"{root} was not written by `iafm episodes export`: no {OWN_SPEC}")
    with damage_of(root / OWN_SPEC):
        spec = GameSpec.model_validate_json((root / OWN_SPEC).read_text(encoding="utf-8"))
    with damage_of(root / OWN_EPISODES):
        lines = (root / OWN_EPISODES).read_bytes().removesuffix(b"\n").split(b"\n")
    with damage_of(root / EPISODES):
        raw = episode_rows(root)
    if len(raw) != len(lines):
        raise CaptureError(
            f"{root} is a damaged dataset: {len(raw)} episodes, {len(lines)} in {OWN_EPISODES}"
        )
    rows = [_row(number, row) for number, row in enumerate(raw)]
    starts = _file_starts([row for row in rows if isinstance(row, EpisodeRow)], frame_rate(spec))
    episodes, skipped = [], []
    for number, (line, row) in enumerate(zip(lines, rows, strict=True)):
        try:
            episodes.append(_episode(root, spec, line, row, starts))
        except CaptureError as error:
            skipped.append(Skipped(f"{root.name}, episode {number}", str(error)))
    return EpisodeSet(episodes, skipped)


def _episode(
    root: Path, spec: GameSpec, line: bytes, row: EpisodeRow | CaptureError, starts: dict[int, int]
) -> ExportedEpisode:
    if isinstance(row, CaptureError):
        raise row
    with damage_of(f"its line in {OWN_EPISODES}"):
        raw = json.loads(line.decode())
        raw["manifest"]["spec"] = spec
        extras = Extras.model_validate(raw)
        steps = [*extras.words, *extras.executed, *extras.rewards, *extras.by]
        steps += [*extras.agent_actions, *extras.unobserved, *extras.dropped_before]
        if extras.manifest.steps != row.length or any(not 0 <= i < row.length for i in steps):
            raise ValueError(f"it is about other steps than the {row.length} of {EPISODES}")
        if not all(map(math.isfinite, extras.rewards.values())):
            raise ValueError("a reward is not finite")
    rate = frame_rate(spec)
    first_frame = row.first_row - starts[row.video_file]
    if abs(row.start_s * rate - first_frame) > 0.5:
        raise CaptureError(
            f"it begins at {row.start_s:.4f} s of its video, but after {first_frame} frames at {rate} a second"
        )
    return ExportedEpisode(root, extras, row, first_frame)


def _row(number: int, raw: dict[str, Any]) -> EpisodeRow | CaptureError:
    """An episode's line in `meta/episodes`, or what is wrong with it."""
    try:
        with damage_of(f"its line in {EPISODES}"):
            row = EpisodeRow(
                length=int(raw["length"]),
                first_row=int(raw["dataset_from_index"]),
                data_file=file_number(raw, "data"),
                video_file=file_number(raw, f"videos/{CAMERA}"),
                start_s=float(raw[f"videos/{CAMERA}/from_timestamp"]),
            )
            if row.length < 1 or raw["dataset_to_index"] != row.first_row + row.length:
                raise ValueError(f"{row.length} steps")
            if raw["episode_index"] != number or not math.isfinite(row.start_s):
                raise ValueError(f"episode {raw['episode_index']} at {row.start_s} s")
    except CaptureError as error:
        return error
    return row


def _file_starts(rows: Sequence[EpisodeRow], rate: int) -> dict[int, int]:
    """The row of the dataset that belongs to the first frame of each video.

    Every row has a frame, so rows count the frames from one episode of a video to the next; a time in seconds is
    needed for the first one alone, which begins at 0 unless the line of an episode before it cannot be read.
    """
    starts: dict[int, int] = {}
    for row in sorted(rows, key=lambda row: row.first_row):
        starts.setdefault(row.video_file, row.first_row - round(row.start_s * rate))
    return starts


def episode_rows(root: Path) -> list[dict[str, Any]]:
    """The lines of `meta/episodes` without their statistics."""
    names = [n for n in pq.read_schema(root / EPISODES).names if not n.startswith("stats/")]
    rows: list[dict[str, Any]] = pq.read_table(root / EPISODES, columns=names).to_pylist()
    return rows


def file_number(row: dict[str, Any], of: str) -> int:
    """The running number of the file an episode is in."""
    return int(row[f"{of}/chunk_index"] * FILES_PER_CHUNK + row[f"{of}/file_index"])


@lru_cache(maxsize=4)
def _read_actions(path: Path, changed_ns: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """All rows of a data file: their numbers in the dataset (N,), and their actions (N, D); NaN where one is null.

    The first number is right even where it is damaged, as most others say what it must be.
    """
    table = pq.read_table(path, columns=["index", "action"])
    numbers = np.array(table["index"].to_numpy(), np.float64)
    numbers[0] = np.nanmedian(numbers - np.arange(len(numbers)))
    column = table["action"].combine_chunks()
    if pa.types.is_fixed_size_list(column.type):
        flat = np.array(column.values.to_numpy(zero_copy_only=False), np.float32)
        actions = flat.reshape(-1, column.type.list_size)[column.offset :][: len(column)]
    else:  # one number a step
        actions = np.array(column.to_numpy(zero_copy_only=False), np.float32).reshape(-1, 1)
    actions[~column.is_valid().to_numpy(zero_copy_only=False)] = np.nan
    return numbers, actions

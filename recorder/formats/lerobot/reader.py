"""Reader of exported datasets: the episodes of a LeRobotDataset v3.0 that `export_lerobot` wrote."""

from __future__ import annotations

import json
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from games import Action, GameSpec
from recorder.episodes.episode import Episode, EpisodeSet, drop_superseded
from recorder.format.manifest import CaptureError, TextSpan, read_lines
from recorder.format.video import VideoSlice, frame_rate
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


class ExportedEpisode(Episode):
    """One episode of a dataset; `row` is its line in `meta/episodes`."""

    def __init__(self, root: Path, extras: Extras, row: dict[str, Any], data_starts: int) -> None:
        super().__init__(root, extras.manifest)
        self._extras = extras
        self._row = row
        self._data_starts = data_starts

    @property
    def video(self) -> VideoSlice:
        rate = frame_rate(self.spec)
        first = round(self._row[f"videos/{CAMERA}/from_timestamp"] * rate)
        path = self.folder / video_file(file_number(self._row, f"videos/{CAMERA}"))
        return VideoSlice(path, rate, self.spec.frame.shape, first)

    def __len__(self) -> int:
        return int(self._row["length"])

    @cached_property
    def actions(self) -> list[Action]:
        rows = _actions(self.folder / data_file(file_number(self._row, "data")))
        begin = self._row["dataset_from_index"] - self._data_starts
        actions = from_rows(self.spec, rows[begin : begin + len(self)])
        for i, words in self._extras.words.items():
            actions[i] |= words
        return actions

    @cached_property
    def executed(self) -> list[Action]:
        null, other = self.spec.null_action(), self._extras.executed
        return [
            self.spec.normalize({**null, **other[i]}) if i in other else wanted
            for i, wanted in enumerate(self.actions)
        ]

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
    """The episodes of a dataset written by `export_lerobot`; raises `CaptureError` for any other."""
    try:
        info = json.loads((root / INFO).read_text(encoding="utf-8"))
        if info["codebase_version"] != VERSION:
            raise CaptureError(f"{root}: LeRobot {info['codebase_version']}, this reads {VERSION}")
        if not (root / OWN_SPEC).exists():
            raise CaptureError(f"{root} was not written by `iafm episodes export`: no {OWN_SPEC}")
        spec = GameSpec.model_validate_json((root / OWN_SPEC).read_text(encoding="utf-8"))
        extras = [_extras(line, spec) for line in read_lines(root / OWN_EPISODES)]
        rows = episode_rows(root)
    except (OSError, KeyError, ValidationError, json.JSONDecodeError, pa.ArrowException) as error:
        line = str(error).splitlines()[0]
        raise CaptureError(f"{root} is a damaged dataset: {type(error).__name__}: {line}") from None
    if len(rows) != len(extras):
        raise CaptureError(
            f"{root} is a damaged dataset: {len(rows)} episodes, {len(extras)} in {OWN_EPISODES}"
        )
    starts: dict[int, int] = {}
    for row in rows:
        starts.setdefault(file_number(row, "data"), row["dataset_from_index"])
    return EpisodeSet(
        [
            ExportedEpisode(root, extra, row, starts[file_number(row, "data")])
            for extra, row in zip(extras, rows, strict=True)
        ]
    )


def episode_rows(root: Path) -> list[dict[str, Any]]:
    """The lines of `meta/episodes` without their statistics."""
    names = [n for n in pq.read_schema(root / EPISODES).names if not n.startswith("stats/")]
    rows: list[dict[str, Any]] = pq.read_table(root / EPISODES, columns=names).to_pylist()
    return rows


def file_number(row: dict[str, Any], of: str) -> int:
    """The running number of the file an episode is in."""
    return int(row[f"{of}/chunk_index"] * FILES_PER_CHUNK + row[f"{of}/file_index"])


def _extras(line: dict[str, Any], spec: GameSpec) -> Extras:
    line["manifest"]["spec"] = spec
    return Extras.model_validate(line)


def _actions(path: Path) -> NDArray[np.float32]:
    return _read_actions(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read_actions(path: Path, changed_ns: int) -> NDArray[np.float32]:
    """All actions of a data file, (N, D)."""
    column = pq.read_table(path, columns=["action"])["action"].combine_chunks()
    width = column.type.list_size if pa.types.is_fixed_size_list(column.type) else 1
    values = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    flat: NDArray[np.float32] = values.to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(-1, width)

"""LeRobotDataset v3.0 export: captures as a dataset, with compressed frames copied, not encoded again.

A dataset is built beside its place and takes it by one rename. An existing one is extended the same way, with its large
files linked instead of copied. What LeRobot has no column for is in `meta/iafm`. Raw input events and the wall-clock
times of frames stay in the captures.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from games import GameSpec
from recorder.episodes.episode import Episode, EpisodeSet
from recorder.format.actions import non_null
from recorder.format.atomic import replaced_folder, restore_folder
from recorder.format.manifest import CaptureError
from recorder.format.video import frame_rate, intact_packets, reading
from recorder.formats.lerobot import schema
from recorder.formats.lerobot.reader import episode_rows, file_number, is_dataset, open_dataset
from recorder.formats.lerobot.schema import CAMERA, SCALARS, Extras
from recorder.formats.lerobot.statistics import Stats, column_stats, frame_stats, merge_stats
from recorder.formats.lerobot.vectors import column_names, to_rows, words_of

STATS_OF = (CAMERA, "action", *SCALARS)


def export_lerobot(
    episodes: EpisodeSet, out: Path, *, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write episodes as a LeRobotDataset v3.0, or add those it does not hold yet to the one at `out`.

    Returns how many were added. Raises `CaptureError` where `out` is something else, where the episodes are of
    different games, or where one cannot be read; `out` is then as it was. `progress(done, total)` per episode.
    """
    restore_folder(out)
    if out.exists() and not is_dataset(out):
        raise CaptureError(f"{out} exists and is no LeRobot dataset; choose another folder")
    before = open_dataset(out) if out.exists() else EpisodeSet([])
    exported = {episode.id for episode in before}
    new = [episode for episode in episodes if episode.id not in exported]
    if len({episode.spec for episode in (*before[:1], *new)}) > 1:
        raise CaptureError("one dataset holds one game: export each game's episodes on their own")
    if new and not column_names(new[0].spec):
        raise CaptureError(f"{new[0].spec.id} has no actions, and LeRobot no dataset without them")
    if not new:
        return 0
    with replaced_folder(out) as draft:
        _build(draft, out if before else None, new, progress)
    return len(new)


def _build(
    draft: Path,
    before: Path | None,
    new: list[Episode],
    progress: Callable[[int, int], None] | None,
) -> None:
    spec = new[0].spec
    meta = _Meta.read(before) if before else _Meta()
    if before:
        for part in ("data", "videos"):
            shutil.copytree(before / part, draft / part, copy_function=os.link)
    data, video = (
        _DataFiles(draft, meta.next_file("data")),
        _VideoFiles(draft, meta.next_file("videos/" + CAMERA)),
    )
    (draft / schema.OWN_SPEC).parent.mkdir(parents=True)
    try:
        for done, episode in enumerate(new, start=1):
            first = meta.frames
            row = {
                "episode_index": len(meta.rows),
                "tasks": [episode.header.instruction],
                "length": len(episode),
                "dataset_from_index": first,
                "dataset_to_index": first + len(episode),
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
            }
            table, stats = _table(
                episode, first, len(meta.rows), meta.task(episode.header.instruction)
            )
            row |= data.add(table) | video.add(episode)
            meta.add(row, stats, _extras(episode))
            if progress:
                progress(done, len(new))
    finally:
        data.close()
        video.close()
    meta.write(draft, spec, new[0].manifest.pixel_format)


def _table(
    episode: Episode, first: int, number: int, task: int
) -> tuple[pa.Table, dict[str, Stats]]:
    """An episode's rows of the data file, and the statistics of each feature."""
    steps = np.arange(len(episode))
    actions = to_rows(episode.spec, episode.actions)
    scalars: dict[str, NDArray[Any]] = {
        "timestamp": (steps / frame_rate(episode.spec)).astype(np.float32),
        "frame_index": steps,
        "episode_index": np.full(len(episode), number),
        "index": steps + first,
        "task_index": np.full(len(episode), task),
    }
    flat = pa.array(actions.reshape(-1), pa.float32())
    width = actions.shape[1]
    columns = {"action": flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)}
    columns |= {name: pa.array(values) for name, values in scalars.items()}
    stats = {name: column_stats(values) for name, values in {"action": actions, **scalars}.items()}
    stats[CAMERA] = frame_stats(episode.video.keyframes(len(episode)))
    return pa.table(columns), stats


def _extras(episode: Episode) -> Extras:
    spec, pairs = episode.spec, list(zip(episode.actions, episode.executed, strict=True))
    return Extras(
        manifest=episode.manifest,
        texts=episode.all_texts,
        executed={i: non_null(spec, executed) for i, (action, executed) in enumerate(pairs) if executed != action},
        words={i: words for i, (action, _) in enumerate(pairs) if (words := words_of(spec, action))},
        rewards={i: reward for i, reward in enumerate(episode.rewards) if reward},
        unobserved=tuple(i for i, observed in enumerate(episode.observed) if not observed),
        by={i: by for i, by in enumerate(episode.by) if by != episode.header.actor},
        dropped_before=episode.dropped_before,
    )  # fmt: skip


class _Meta:
    """The files under `meta/`, in memory."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.stats: list[dict[str, Stats]] = []
        self.extras: list[str] = []
        self.tasks: list[str] = []
        self.frames = 0

    @classmethod
    def read(cls, root: Path) -> _Meta:
        meta = cls()
        meta.rows = episode_rows(root)
        table = pq.read_table(root / schema.EPISODES)
        names = [name for name in table.column_names if name.startswith("stats/")]
        for line in table.select(names).to_pylist():
            stats: dict[str, Stats] = {}
            for name, value in line.items():
                _, feature, key = name.split("/")
                stats.setdefault(feature, {})[key] = value
            meta.stats.append(stats)
        meta.extras = (root / schema.OWN_EPISODES).read_text(encoding="utf-8").splitlines()
        tasks = pq.read_table(root / schema.TASKS).sort_by("task_index")
        meta.tasks = tasks["__index_level_0__"].to_pylist()
        meta.frames = meta.rows[-1]["dataset_to_index"]
        return meta

    def next_file(self, of: str) -> int:
        """The number after the last file that holds one of these episodes."""
        return 1 + max((file_number(row, of) for row in self.rows), default=-1)

    def task(self, words: str) -> int:
        if words not in self.tasks:
            self.tasks.append(words)
        return self.tasks.index(words)

    def add(self, row: dict[str, Any], stats: dict[str, Stats], extras: Extras) -> None:
        self.rows.append(row)
        self.stats.append(stats)
        self.extras.append(extras.model_dump_json(exclude={"manifest": {"spec"}}))
        self.frames += row["length"]

    def write(self, root: Path, spec: GameSpec, pixel_format: str) -> None:
        (root / schema.EPISODES).parent.mkdir(parents=True)
        flat = [
            {
                f"stats/{name}/{key}": value
                for name in STATS_OF
                for key, value in stats[name].items()
            }
            for stats in self.stats
        ]
        rows = [row | more for row, more in zip(self.rows, flat, strict=True)]
        pq.write_table(pa.Table.from_pylist(rows), root / schema.EPISODES)
        pq.write_table(_task_table(self.tasks), root / schema.TASKS)
        merged = {name: merge_stats([stats[name] for stats in self.stats]) for name in STATS_OF}
        info = schema.info(spec, pixel_format, len(self.rows), self.frames, len(self.tasks))
        for path, content in ((schema.STATS, merged), (schema.INFO, info)):
            (root / path).write_text(json.dumps(content, indent=4), encoding="utf-8")
        (root / schema.OWN_SPEC).write_text(spec.model_dump_json(indent=1), encoding="utf-8")
        lines = "".join(line + "\n" for line in self.extras)
        (root / schema.OWN_EPISODES).write_text(lines, encoding="utf-8")


def _task_table(tasks: Iterable[str]) -> pa.Table:
    """The table that pandas writes for a data frame with the tasks as its index: LeRobot reads it by that index."""
    names = list(tasks)
    index = "__index_level_0__"
    pandas = {
        "index_columns": [index],
        "column_indexes": [],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64",
             "metadata": None},
            {"name": None, "field_name": index, "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
        ],
        "pandas_version": "2.0.0",
    }  # fmt: skip
    columns = {
        "task_index": pa.array(range(len(names)), pa.int64()),
        index: pa.array(names, pa.string()),
    }
    return pa.table(columns).replace_schema_metadata({"pandas": json.dumps(pandas)})


class _DataFiles:
    """`data/…/file-000.parquet` and on: one row group per episode."""

    def __init__(self, root: Path, number: int) -> None:
        self._root = root
        self._number = number
        self._writer: Any = None

    def add(self, table: pa.Table) -> dict[str, Any]:
        path = self._root / schema.data_file(self._number)
        if self._writer and path.stat().st_size >= schema.DATA_FILE_MB << 20:
            self.close()
            self._number += 1
            path = self._root / schema.data_file(self._number)
        if self._writer is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema)
        self._writer.write_table(table)
        return {f"data/{key}": value for key, value in schema.place(self._number).items()}

    def close(self) -> None:
        if self._writer:
            self._writer.close()
        self._writer = None


class _VideoFiles:
    """`videos/…/file-000.mp4` and on: the episodes' compressed frames, one after the other.

    A new file is begun when the old one is large, and for an episode with another encoder's header.
    """

    def __init__(self, root: Path, number: int) -> None:
        self._root = root
        self._number = number
        self._container: Any = None
        self._stream: Any = None
        self._header = b""
        self._frames = self._bytes = 0

    def add(self, episode: Episode) -> dict[str, Any]:
        video = episode.video
        with reading(video.path) as source:
            template = source.streams.video[0]
            header = bytes(template.codec_context.extradata or b"")
            if self._container is not None and (
                header != self._header or self._bytes >= schema.VIDEO_FILE_MB << 20
            ):
                self.close()
                self._number += 1
            if self._container is None:
                self._begin(template, header)
            if video.first:
                tick = float(template.time_base or 1) * video.rate
                source.seek(round(video.first / tick), stream=template)
            begin = self._frames
            for packet in islice(intact_packets(source), len(episode)):
                self._copy(packet, video.rate)
        if self._frames - begin != len(episode):
            raise CaptureError(f"{video.path}: {self._frames - begin} of {len(episode)} frames")
        location = {
            f"videos/{CAMERA}/{key}": value for key, value in schema.place(self._number).items()
        }
        return location | {
            f"videos/{CAMERA}/from_timestamp": begin / video.rate,
            f"videos/{CAMERA}/to_timestamp": self._frames / video.rate,
        }

    def _begin(self, template: Any, header: bytes) -> None:
        path = self._root / schema.video_file(self._number)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream = self._container.add_stream_from_template(template)
        self._header = header
        self._frames = self._bytes = 0

    def _copy(self, packet: Any, rate: int) -> None:
        packet.stream = self._stream
        packet.time_base = Fraction(1, rate)
        packet.pts = packet.dts = self._frames
        packet.duration = 1
        self._container.mux(packet)
        self._frames += 1
        self._bytes += packet.size

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container = None

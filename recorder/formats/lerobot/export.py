"""LeRobotDataset v3.0 export: captures as a dataset, with compressed frames copied, not encoded again.

A dataset is built beside its place and takes it by one rename. An existing one is extended the same way, with its large
files linked instead of copied. What LeRobot has no column for is in `meta/iafm`. Raw input events and the wall-clock
times of frames stay in the captures. Frames are in memory one at a time, rows one episode at a time.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from games import GameSpec
from recorder.episodes.episode import Episode, EpisodeSet
from recorder.format.actions import non_null
from recorder.format.atomic import replaced_folder, restore_folder
from recorder.format.manifest import CaptureError, Skipped, disk_errors
from recorder.format.packets import check_packets
from recorder.format.video import frame_rate
from recorder.formats.export_report import ExportReport
from recorder.formats.lerobot import schema
from recorder.formats.lerobot.damage import damage_of
from recorder.formats.lerobot.files import DataFiles, VideoFiles
from recorder.formats.lerobot.reader import episode_rows, file_number, is_dataset, open_dataset
from recorder.formats.lerobot.schema import CAMERA, SCALARS, Extras
from recorder.formats.lerobot.statistics import Stats, column_stats, frame_stats, merge_stats
from recorder.formats.lerobot.vectors import column_names, to_rows, words_of

logger = logging.getLogger("iafm.export")

STATS_OF = (CAMERA, "action", *SCALARS)


def export_lerobot(
    episodes: EpisodeSet,
    out: Path,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write episodes as a LeRobotDataset v3.0, or add those it does not hold yet to the one at `out`.

    An episode that cannot be read is skipped and named; with `strict` it raises `CaptureError`. That is also raised
    where `out` is something else or damaged, and where the episodes are of different games; `DiskFullError` where the
    disk is full. `out` is then as it was. `progress(done, total)` per episode.
    """
    restore_folder(out)
    if out.exists() and not is_dataset(out):
        raise CaptureError(f"{out} exists and is no LeRobot dataset; choose another folder")
    before = open_dataset(out) if out.exists() else EpisodeSet([])
    if before.skipped:
        first = before.skipped[0]
        raise CaptureError(
            f"{out} is damaged ({first.source}: {first.why}): export to another folder"
        )
    exported = {episode.id for episode in before}
    new = [episode for episode in episodes if episode.id not in exported]
    if len({episode.spec for episode in (*before[:1], *new)}) > 1:
        raise CaptureError("one dataset holds one game: export each game's episodes on their own")
    if new and not column_names(new[0].spec):
        raise CaptureError(f"{new[0].spec.id} has no actions, and LeRobot no dataset without them")
    if not new:
        return ExportReport(0)
    export = _Export(new, out if before else None, strict, progress)
    with disk_errors(out.parent), suppress(_NothingToAddError), replaced_folder(out) as draft:
        export.write(draft)
    return ExportReport(export.added, tuple(export.skipped))


class _NothingToAddError(Exception):
    """No episode can be read, so that the draft takes no place."""


class _Export:
    """The writing of episodes into a draft, which begins with the dataset at `before`."""

    def __init__(
        self,
        episodes: Sequence[Episode],
        before: Path | None,
        strict: bool,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._episodes, self._before = episodes, before
        self._strict, self._progress = strict, progress
        self.added = 0
        self.skipped: list[Skipped] = []
        self._pixel_format = ""

    def write(self, draft: Path) -> None:
        """Write the episodes that can be read; raises `_NothingToAddError` where there is none."""
        meta = _Meta.read(self._before) if self._before else _Meta()
        if self._before:
            for part in ("data", "videos"):
                shutil.copytree(self._before / part, draft / part, copy_function=os.link)
        data = DataFiles(draft, meta.next_file("data"))
        video = VideoFiles(draft, meta.next_file("videos/" + CAMERA))
        (draft / schema.OWN_SPEC).parent.mkdir(parents=True)
        try:
            for done, episode in enumerate(self._episodes, start=1):
                self._add(episode, meta, data, video)
                if self._progress:
                    self._progress(done, len(self._episodes))
        finally:
            with closing(video):
                data.close()
        if not self.added:
            raise _NothingToAddError
        meta.write(draft, self._episodes[0].spec, self._pixel_format)

    def _add(self, episode: Episode, meta: _Meta, data: DataFiles, video: VideoFiles) -> None:
        """Add one episode; what it needs of the episode is read before anything is written."""
        try:
            with damage_of(episode.id):
                task = meta.task(episode.header.instruction)
                table, stats = _table(episode, meta.frames, len(meta.rows), task)
                extras = _extras(episode)
                check_packets(episode.video, len(episode))
        except CaptureError as error:
            if self._strict:
                raise
            logger.warning("skipped %s: %s", episode.id, error)
            self.skipped.append(Skipped(episode.id, str(error)))
            return
        row = {
            "episode_index": len(meta.rows),
            "tasks": [episode.header.instruction],
            "length": len(episode),
            "dataset_from_index": meta.frames,
            "dataset_to_index": meta.frames + len(episode),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        row |= data.add(table) | video.add(episode.video, len(episode))
        meta.add(row, stats, extras)
        self._pixel_format = self._pixel_format or episode.manifest.pixel_format
        self.added += 1


def _table(
    episode: Episode, first: int, number: int, task: int
) -> tuple[pa.Table, dict[str, Stats]]:
    """An episode's rows of the data file, and the statistics of each feature."""
    steps = np.arange(len(episode))
    actions = to_rows(episode.spec, episode.actions)
    if bad := np.flatnonzero(~np.isfinite(actions).all(1)).tolist():
        raise CaptureError(f"{episode.id}: the action of step {bad[0]} is not finite")
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
    if not all(map(math.isfinite, episode.rewards)):
        raise CaptureError(f"{episode.id}: a reward is not finite")
    return Extras(
        manifest=episode.manifest,
        texts=episode.all_texts,
        executed={i: non_null(spec, executed) for i, (action, executed) in enumerate(pairs) if executed != action},
        agent_actions={i: non_null(spec, a) for i, a in enumerate(episode.agent_actions) if a is not None},
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
        lines = (root / schema.OWN_EPISODES).read_bytes().removesuffix(b"\n").split(b"\n")
        meta.extras = [line.decode() for line in lines]
        tasks = pq.read_table(root / schema.TASKS).sort_by("task_index")
        meta.tasks = tasks["__index_level_0__"].to_pylist()
        meta.frames = meta.rows[-1]["dataset_to_index"]
        return meta

    def next_file(self, of: str) -> int:
        """The number after the last file that holds one of these episodes."""
        return 1 + max((file_number(row, of) for row in self.rows), default=-1)

    def task(self, words: str) -> int:
        """The number of a task, new or not; it is in the dataset once an episode of it is."""
        return self.tasks.index(words) if words in self.tasks else len(self.tasks)

    def add(self, row: dict[str, Any], stats: dict[str, Stats], extras: Extras) -> None:
        self.tasks += [task for task in row["tasks"] if task not in self.tasks]
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

"""Metadata of a foreign dataset: `meta/info.json`, the sentences of its tasks and the list of its episodes.

Versions 3.0 (Parquet) and 2.x (JSON lines). A damaged line, row or file of the list is left out and named.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from recorder.format.manifest import CaptureError, Skipped
from recorder.formats.lerobot.damage import damage_of, one_line
from recorder.formats.lerobot.schema import DATA_PATH, INFO, TASKS, VIDEO_PATH

EPISODE_FILES, TASK_FILES = "meta/episodes/*/*.parquet", "meta/tasks/*/*.parquet"
OLD_TASKS, OLD_EPISODES = "meta/tasks.jsonl", "meta/episodes.jsonl"
OLD_DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
OLD_VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
SENTENCE_COLUMNS = ("__index_level_0__", "task")
"""Names of the column with the sentences: a data frame's index, or a column."""
MAX_META_BYTES = 256 << 20
MAX_EPISODES = 1 << 20
MAX_EPISODE_STEPS = 1 << 24
_ROW_ERRORS = (KeyError, TypeError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Info:
    """`meta/info.json`."""

    version: str
    rate: float
    """Steps per second; need not be whole."""
    features: dict[str, dict[str, Any]]
    data_path: str
    video_path: str
    chunk_size: int
    """Episodes per chunk, version 2.x."""

    @property
    def is_old(self) -> bool:
        return self.version.startswith("v2.")


@dataclass(frozen=True)
class EpisodeEntry:
    """One line of the list of episodes; `row` has the numbers of its files in version 3.0."""

    number: int
    length: int
    row: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Metadata:
    """What `meta/` says; `skipped` are the parts of it that cannot be read."""

    info: Info
    tasks: dict[int, str]
    episodes: tuple[EpisodeEntry, ...]
    skipped: tuple[Skipped, ...]


def read_metadata(root: Path) -> Metadata:
    """Read `meta/`; raises `CaptureError` in one line where there is no dataset, or no episode of it is readable."""
    info = _info(root)
    skipped: list[Skipped] = []
    tasks = _tasks(root, skipped)
    episodes: dict[int, EpisodeEntry] = {}
    for name, row in _episode_rows(root, info, skipped):
        try:
            entry = _entry(row)
            if entry.number in episodes:
                raise ValueError(f"episode {entry.number} is listed twice")
        except _ROW_ERRORS as error:
            skipped.append(Skipped(name, f"no episode: {one_line(error)}"))
            continue
        episodes[entry.number] = entry
        if len(episodes) > MAX_EPISODES:
            raise CaptureError(f"{root} has more than {MAX_EPISODES} episodes")
    if not episodes:
        hint = f": {skipped[0].source}: {skipped[0].why}" if skipped else ""
        raise CaptureError(f"{root} has no episodes{hint}")
    in_order = tuple(episodes[number] for number in sorted(episodes))
    return Metadata(info, tasks, in_order, tuple(skipped))


def _info(root: Path) -> Info:
    if not (root / INFO).exists():
        raise CaptureError(f"{root} is no LeRobot dataset: it has no {INFO}")
    with damage_of(root / INFO):
        raw = json.loads(_content(root / INFO).decode())
        version = str(raw["codebase_version"])
        if not version.startswith(("v2.", "v3.")):
            raise CaptureError(f"{root}: LeRobot {version}, this reads v3.0, v2.1 and v2.0")
        old = version.startswith("v2.")
        info = Info(
            version=version,
            rate=float(raw["fps"]),
            features={str(name): dict(feature) for name, feature in raw["features"].items()},
            data_path=str(raw.get("data_path") or (OLD_DATA_PATH if old else DATA_PATH)),
            video_path=str(raw.get("video_path") or (OLD_VIDEO_PATH if old else VIDEO_PATH)),
            chunk_size=int(raw.get("chunks_size") or 1000),
        )
    if not 0 < info.rate <= 240:
        raise CaptureError(f"{root}: {info.rate:g} frames a second")
    if info.chunk_size < 1:
        raise CaptureError(f"{root}: chunks of {info.chunk_size} episodes")
    return info


def _entry(row: dict[str, Any]) -> EpisodeEntry:
    number, length = _integer(row, "episode_index"), _integer(row, "length")
    if not 0 <= number < 1 << 40 or not 0 < length <= MAX_EPISODE_STEPS:
        raise ValueError(f"episode {number} of {length} steps")
    return EpisodeEntry(number, length, row)


def _integer(row: dict[str, Any], name: str) -> int:
    if not isinstance(row[name], int):
        raise TypeError(f"{name} is {row[name]!r}"[:80])
    return int(row[name])


def _episode_rows(
    root: Path, info: Info, skipped: list[Skipped]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of the list of episodes, each with its name; damaged lines and files go to `skipped`."""
    if info.is_old:
        yield from _lines(root, OLD_EPISODES, skipped)
        return
    for path in sorted(root.glob(EPISODE_FILES)):
        name = path.relative_to(root).as_posix()
        try:
            with damage_of(name):
                columns = [n for n in _columns(path) if not n.startswith("stats/")]
                rows = pq.read_table(path, columns=columns).to_pylist()
        except CaptureError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        yield from ((f"{name}, row {number}", row) for number, row in enumerate(rows))


def _tasks(root: Path, skipped: list[Skipped]) -> dict[int, str]:
    """Sentences by task index, from whichever of the known files the dataset has."""
    files = [path for path in (root / TASKS, *sorted(root.glob(TASK_FILES))) if path.exists()]
    tasks: dict[int, str] = {}
    for path in files:
        with damage_of(path):
            columns = _columns(path)
            known = [name for name in SENTENCE_COLUMNS if name in columns]
            if not known:
                raise CaptureError(f"{path} has no sentences of tasks, only {columns}")
            table = pq.read_table(path, columns=["task_index", known[0]])
            pairs = zip(table["task_index"].to_pylist(), table[known[0]].to_pylist(), strict=True)
            tasks |= {int(n): str(text) for n, text in pairs if n is not None and text is not None}
    if not files and not (root / OLD_TASKS).exists():
        raise CaptureError(f"{root} has neither {TASKS} nor {OLD_TASKS}")
    if not files:
        for name, row in _lines(root, OLD_TASKS, skipped):
            try:
                tasks[_integer(row, "task_index")] = str(row["task"])
            except _ROW_ERRORS as error:
                skipped.append(Skipped(name, f"no task: {one_line(error)}"))
    return tasks


def _lines(root: Path, name: str, skipped: list[Skipped]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a line file, each with its name; those that cannot be read go to `skipped`."""
    with damage_of(root / name):
        lines = _content(root / name).split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
            if not isinstance(row, dict):
                raise ValueError("no JSON object")
        except (ValueError, RecursionError) as error:
            skipped.append(Skipped(f"{name}, line {number}", one_line(error)))
            continue
        yield f"{name}, line {number}", row


def _columns(path: Path) -> list[str]:
    if path.stat().st_size > MAX_META_BYTES:
        raise CaptureError(f"{path} is larger than {MAX_META_BYTES >> 20} MiB")
    metadata = pq.read_metadata(path)
    if metadata.num_rows > MAX_EPISODES:
        raise CaptureError(f"{path} has {metadata.num_rows} rows, more than {MAX_EPISODES}")
    return [str(name) for name in metadata.schema.to_arrow_schema().names]


def _content(path: Path) -> bytes:
    """A text file without its byte order mark."""
    if path.stat().st_size > MAX_META_BYTES:
        raise CaptureError(f"{path} is larger than {MAX_META_BYTES >> 20} MiB")
    return path.read_bytes().removeprefix(codecs.BOM_UTF8)

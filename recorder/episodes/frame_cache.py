"""Frame cache: all frames of a set of episodes, decoded once into one flat file for training.

Beside a cache lies a marker of its content, written last. Without it, or with another one, the cache is rebuilt.
"""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from games.resize import resize_frame
from recorder.episodes.episode import Episode, EpisodeSet
from recorder.format.atomic import DRAFT, replaced_file, write_atomic
from recorder.format.manifest import CaptureError
from recorder.format.process import is_abandoned, process_name
from recorder.format.video import VideoSlice


class BrokenVideosError(CaptureError):
    """Videos that do not decode; `reasons` has why, by the episode's place among those that were asked for."""

    def __init__(self, episodes: Sequence[Episode], reasons: Mapping[int, str]) -> None:
        self.reasons = dict(reasons)
        lines = "; ".join(f"{episodes[i].id}: {why}" for i, why in self.reasons.items())
        super().__init__(f"{len(self.reasons)} of {len(episodes)} videos do not decode: {lines}")


Progress = Callable[[int, int], None]
Job = TypeVar("Job")
Result = TypeVar("Result")


MIN_PARALLEL_FRAMES = 5000
"""Fewer frames are decoded before another process has started."""
RAW, JPEGS, OFFSETS = ".u8", ".jpegs", ".npy"
"""Suffixes of all files that a cache may have."""
PART_FRAMES = 6000
"""Most frames of an episode that are decoded by one process: five minutes at 20 Hz."""
CHUNK = 256
"""Frames of one episode that are in memory at once."""


def decode_cache(
    episodes: EpisodeSet,
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """All frames of all episodes in order, memory-mapped (writes stay in memory): (N, H, W, 3) uint8.

    Frames of another size than `size` (height, width; the first episode's where None) are resized to it by
    `games.resize`, as in play. The file is rebuilt when the episodes changed, and takes height x width x 3 bytes
    per step (8.3 GB for 300,000 frames of 72 x 128). Long episodes are decoded in parts, by several processes, and
    `progress(done, total)` is called with the number of frames after each. Raises
    `BrokenVideosError` where a video does not decode; there is no cache then.
    """
    path, shape = path.with_suffix(RAW), shape_of(episodes, size)

    def make() -> None:
        _decode(episodes, path, shape, workers, progress)

    rebuild_if_stale(path, fingerprint(episodes, shape), make)
    return np.memmap(path, np.uint8, "c", shape=(episodes.steps, *shape))


def shape_of(episodes: EpisodeSet, size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Shape (H, W, 3) of a frame in the cache."""
    return (*size, 3) if size else episodes[0].spec.frame.shape


def fingerprint(episodes: EpisodeSet, shape: tuple[int, int, int], form: str = "") -> str:
    """A hash of these episodes' frames in this shape and form."""
    lines = [f"{e.id} {len(e)}" for e in episodes]
    if any(e.spec.frame.shape != shape for e in episodes):
        lines.append(f"as {shape}")
    if form:
        lines.append(form)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def rebuild_if_stale(path: Path, stamp: str, make: Callable[[], None]) -> None:
    """Have `make` write the cache at `path` where the marker beside it is not `stamp`.

    An old cache, in whichever form, is deleted first.
    """
    index = path.with_suffix(".json")
    if path.exists() and index.exists() and index.read_text() == json.dumps(stamp):
        return
    index.unlink(missing_ok=True)
    for suffix in (RAW, JPEGS, OFFSETS):
        path.with_suffix(suffix).unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    delete_abandoned(path)
    make()
    write_atomic(index, json.dumps(stamp))


def temp_path(path: Path) -> Path:
    """Where this process of this machine writes a cache until it is complete."""
    return path.with_name(f"{_draft_prefix(path)}{process_name()}{DRAFT}")


def delete_abandoned(path: Path) -> None:
    """Delete what killed processes of this machine left of a cache; each may be as large as the cache."""
    prefix = _draft_prefix(path)
    for draft in path.parent.glob(f"{glob.escape(prefix)}*"):
        if is_abandoned(draft.name.removeprefix(prefix).partition(".")[0]):
            draft.unlink(missing_ok=True)


def _draft_prefix(path: Path) -> str:
    return f"{path.stem}.{platform.node()}."


def check_free_space(folder: Path, needed: float) -> None:
    """Raise `CaptureError` where the disk has less than so many bytes free."""
    if (free := shutil.disk_usage(folder).free) < needed:
        raise CaptureError(
            f"{folder} has {free / 1e9:.1f} GB free, the cache needs {needed / 1e9:.1f} GB"
        )


def map_in_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int | None, frames: int
) -> Iterator[Result]:
    """The results of `work` for each job, in order.

    Where `workers` is None there is a process for each core, or this one alone where there are few frames.
    """
    workers = workers or (1 if frames < MIN_PARALLEL_FRAMES else os.cpu_count() or 1)
    if workers == 1:
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, jobs, chunksize=4)


def resized_frames(
    video: VideoSlice, length: int, shape: tuple[int, ...], chunk: int = CHUNK
) -> Iterator[NDArray[np.uint8]]:
    """An episode's first `length` frames, each (H, W, 3) as `shape` says; `chunk` of them are in memory at once."""
    for frames in video.chunks(length, chunk):
        for frame in frames:
            yield resize_frame(frame, *shape[:2])


@dataclass(frozen=True)
class EpisodePart:
    """Consecutive frames of one episode, which one process decodes."""

    episode: int
    """The episode's place in the set."""
    video: VideoSlice
    length: int
    first: int
    """The number of its first frame in the episode."""
    start: int
    """The same in the cache."""

    def reason(self, error: CaptureError) -> str:
        """Why it does not decode."""
        return f"from frame {self.first} on: {error}" if self.first else str(error)


def parts_of(episodes: EpisodeSet) -> list[EpisodePart]:
    """All frames of all episodes in order, at most `PART_FRAMES` in a part."""
    parts, start = [], 0
    for number, episode in enumerate(episodes):
        for first in range(0, len(episode), PART_FRAMES):
            length = min(PART_FRAMES, len(episode) - first)
            video = replace(episode.video, first=episode.video.first + first)
            parts.append(EpisodePart(number, video, length, first, start))
            start += length
    return parts


def _decode(
    episodes: EpisodeSet,
    path: Path,
    shape: tuple[int, int, int],
    workers: int | None,
    progress: Progress | None,
) -> None:
    cache_shape = (episodes.steps, *shape)
    check_free_space(path.parent, math.prod(cache_shape))
    parts = parts_of(episodes)
    with replaced_file(path, temp_path(path)) as draft:
        np.memmap(draft, np.uint8, "w+", shape=cache_shape).flush()
        jobs = [(part, draft, cache_shape) for part in parts]
        broken: dict[int, str] = {}
        decoded = map_in_processes(_decode_one, jobs, workers, episodes.steps)
        for part, reason in zip(parts, decoded, strict=True):
            if reason:
                broken.setdefault(part.episode, reason)
            if progress:
                progress(part.start + part.length, episodes.steps)
        if broken:
            raise BrokenVideosError(episodes, broken)


def _decode_one(job: tuple[EpisodePart, Path, tuple[int, ...]]) -> str:
    """Write a part's frames to their place; returns why that cannot be done, empty where it can."""
    part, draft, shape = job
    out = np.memmap(draft, np.uint8, "r+", shape=shape)
    try:
        for i, frame in enumerate(resized_frames(part.video, part.length, shape[1:]), part.start):
            out[i] = frame
    except CaptureError as error:
        return part.reason(error)
    return ""

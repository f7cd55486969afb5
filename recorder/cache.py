"""How does training get at frames quickly? All of them decoded once into one flat file."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recorder.episode import EpisodeSet
from recorder.layout import CaptureError, write_atomically
from recorder.video import VideoSlice

Progress = Callable[[int, int], None]


FEW = 5000
"""Frames that are decoded before another process has started."""


def decode_cache(
    episodes: EpisodeSet,
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """All frames of all episodes in order, memory-mapped (writes stay in memory): (N, H, W, 3) uint8.

    Frames of another size than `size` (height, width; the first episode's where None) are stretched to it by area, as
    a player's frames are in play. The file is made anew when the episodes changed, and takes height x width x 3 bytes
    per step (8.3 GB for 300,000 frames of 72 x 128). `progress(done, total)` is called per episode; raises
    `CaptureError` where a frame is missing.
    """
    shape = (*size, 3) if size else episodes[0].spec.frame.shape
    total = episodes.steps
    lines = [f"{e.id} {len(e)}" for e in episodes]
    if any(e.spec.frame.shape != shape for e in episodes):
        lines.append(f"as {shape}")
    mark = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    index = path.with_suffix(".json")
    if not (path.exists() and index.exists() and index.read_text() == json.dumps(mark)):
        index.unlink(missing_ok=True)
        _decode(episodes, path, total, shape, workers or os.cpu_count() or 1, progress)
        write_atomically(index, json.dumps(mark))
    return np.memmap(path, np.uint8, "c", shape=(total, *shape))


def _decode(
    episodes: EpisodeSet,
    path: Path,
    total: int,
    shape: tuple[int, int, int],
    workers: int,
    progress: Progress | None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.draft")
    free = shutil.disk_usage(path.parent).free
    if free < (needed := total * math.prod(shape)):
        raise CaptureError(
            f"{path.parent} has {free / 1e9:.1f} GB free, the cache needs {needed / 1e9:.1f} GB"
        )
    np.memmap(draft, np.uint8, "w+", shape=(total, *shape)).flush()
    starts = np.cumsum([0] + [len(e) for e in episodes])
    jobs = [
        (e.video, len(e), draft, int(s), (total, *shape))
        for e, s in zip(episodes, starts, strict=False)
    ]
    try:
        if workers == 1 or total < FEW:
            _count(map(_decode_one, jobs), len(jobs), progress)
        else:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                _count(pool.map(_decode_one, jobs, chunksize=4), len(jobs), progress)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _count(done: Iterable[None], total: int, progress: Progress | None) -> None:
    for number, _ in enumerate(done, start=1):
        if progress:
            progress(number, total)


def _decode_one(job: tuple[VideoSlice, int, Path, int, tuple[int, ...]]) -> None:
    video, length, draft, start, shape = job
    out = np.memmap(draft, np.uint8, "r+", shape=shape)
    frames = video.read(range(length))
    if frames.shape[1:] == shape[1:]:
        out[start : start + length] = frames
        return
    for i, frame in enumerate(frames):
        cv2.resize(frame, shape[2:0:-1], out[start + i], interpolation=cv2.INTER_AREA)

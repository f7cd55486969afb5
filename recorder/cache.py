"""How does training get at frames quickly? All of them decoded once into one flat file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recorder.episode import Episode, EpisodeSet
from recorder.layout import CaptureError, write_atomically

Progress = Callable[[int, int], None]


def decode_cache(
    episodes: EpisodeSet,
    path: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """All frames of all episodes in order, memory-mapped (writes stay in memory): (N, H, W, 3) uint8.

    The file is made anew when the episodes changed. `progress(done, total)` is called per episode.
    """
    shape = episodes[0].spec.frame.shape
    if any(e.spec.frame.shape != shape for e in episodes):
        raise CaptureError("episodes of different frame sizes cannot share one cache")
    total = episodes.steps
    mark = hashlib.sha256("\n".join(f"{e.id} {len(e)}" for e in episodes).encode()).hexdigest()
    index = path.with_suffix(".json")
    if not (path.exists() and index.exists() and json.loads(index.read_text()) == mark):
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
    draft = path.with_suffix(".draft")
    np.memmap(draft, np.uint8, "w+", shape=(total, *shape)).flush()
    starts = np.cumsum([0] + [len(e) for e in episodes])
    jobs = [(e.folder, draft, int(s), total, shape) for e, s in zip(episodes, starts, strict=False)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(_decode_one, jobs, chunksize=4), start=1):
            if progress:
                progress(done, len(jobs))
    draft.replace(path)


def _decode_one(job: tuple[Path, Path, int, int, tuple[int, int, int]]) -> None:
    folder, draft, start, total, shape = job
    episode = Episode.open(folder)
    out = np.memmap(draft, np.uint8, "r+", shape=(total, *shape))
    out[start : start + len(episode)] = episode.frames()

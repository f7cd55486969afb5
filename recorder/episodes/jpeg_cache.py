"""JPEG frame cache: concatenated JPEGs, decoded when read, for frames that would not fit on the disk raw.

`frames.jpegs` holds them without anything between, `frames.npy` the offset of each and of the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from games import Frame
from recorder.episodes.episode import EpisodeSet
from recorder.episodes.frame_cache import (
    JPEGS,
    OFFSETS,
    BrokenVideosError,
    EpisodePart,
    Progress,
    check_free_space,
    fingerprint,
    map_in_processes,
    parts_of,
    rebuild_if_stale,
    resized_frames,
    shape_of,
    temp_path,
)
from recorder.format.atomic import replaced_file, write_atomic
from recorder.format.manifest import CaptureError

QUALITY = 95
_SETTINGS = (
    *(cv2.IMWRITE_JPEG_QUALITY, QUALITY),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)  # full colour resolution: a far animal is two pixels
_THREADS = 8
"""Most threads that decode at once: a machine with eight GPUs has eight such processes."""


class JpegFrames:
    """Frames (N, H, W, 3) uint8 on disk, decoded each time they are read."""

    def __init__(self, path: Path, shape: tuple[int, int, int, int], threads: int = 0) -> None:
        """`threads` decode at once (0: one per core, up to 8). Raises `CaptureError` for damaged files."""
        self.path, self.shape = path, shape
        self._threads = threads or min(_THREADS, os.cpu_count() or 1)
        self._begins = _offsets(path, shape[0])
        self._bytes = np.memmap(path, np.uint8, "r").view(np.ndarray)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some frames (n, H, W, 3), in this order; raises `CaptureError` for one that cannot be decoded."""
        wanted = np.asarray(indices, np.int64)
        out = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        slices = [slice(k, None, self._threads) for k in range(min(self._threads, len(wanted)))]
        work = [partial(self._decode, wanted[part], out[part]) for part in slices]
        if len(work) <= 1:
            for job in work:
                job()
            return out
        with ThreadPoolExecutor(len(work), thread_name_prefix="jpeg") as threads:
            for done in [threads.submit(job) for job in work]:
                done.result()
        return out

    def _decode(self, wanted: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        for index, target in zip(wanted.tolist(), out, strict=True):
            begin, end = self._begins[index], self._begins[index + 1]
            decoded = cv2.imdecode(self._bytes[begin:end], cv2.IMREAD_COLOR)
            if decoded is None or decoded.shape != target.shape:
                raise _damaged(self.path, f"frame {index} is no JPEG of {target.shape}")
            cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, target)


def jpeg_cache(
    episodes: EpisodeSet,
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> JpegFrames:
    """As `decode_cache`, in about a ninth of the space, lossy (JPEG quality 95).

    Raises `CaptureError` also where the files are damaged.
    """
    path, shape = path.with_suffix(JPEGS), shape_of(episodes, size)

    def make() -> None:
        _encode(episodes, path, shape, workers, progress)

    rebuild_if_stale(path, fingerprint(episodes, shape, f"jpeg {QUALITY} 4:4:4"), make)
    return JpegFrames(path, (episodes.steps, *shape))


def _offsets(path: Path, count: int) -> NDArray[np.int64]:
    """The offset of each of `count` frames and of the end, (count + 1,) int64."""
    try:
        begins = np.load(path.with_suffix(OFFSETS), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path.with_suffix(OFFSETS), str(error)) from None
    rises = begins.ndim == 1 and begins.dtype == np.int64 and (np.diff(begins) > 0).all()
    if len(begins) != count + 1 or not rises or begins[0] != 0:
        raise _damaged(path.with_suffix(OFFSETS), f"it has no offsets of {count} frames")
    if (size := path.stat().st_size) != begins[-1]:
        raise _damaged(path, f"it has {size} of {begins[-1]} bytes")
    return np.asarray(begins, np.int64)


def _damaged(path: Path, reason: str) -> CaptureError:
    marker = path.with_suffix(".json")
    return CaptureError(f"{path} is damaged: {reason}; delete {marker} to have it rebuilt")


def _encode(
    episodes: EpisodeSet,
    path: Path,
    shape: tuple[int, int, int],
    workers: int | None,
    progress: Progress | None,
) -> None:
    parts = parts_of(episodes)
    files = [temp_path(path).with_suffix(f".{k}.part") for k in range(len(parts))]
    jobs = [(part, file, shape) for part, file in zip(parts, files, strict=True)]
    sizes: list[int] = []
    broken: dict[int, str] = {}
    try:
        with replaced_file(path, temp_path(path)) as draft:
            encoded = map_in_processes(_encode_one, jobs, workers, episodes.steps)
            for part, file, part_sizes in zip(parts, files, encoded, strict=True):
                if isinstance(part_sizes, str):
                    broken.setdefault(part.episode, part_sizes)
                elif not broken:
                    sizes += part_sizes
                    left = episodes.steps - len(sizes)
                    check_free_space(path.parent, left * sum(sizes) / len(sizes))
                    _append_part(draft, file)
                file.unlink()
                if progress:
                    progress(part.start + part.length, episodes.steps)
            if broken:
                raise BrokenVideosError(episodes, broken)
            _write_offsets(path.with_suffix(OFFSETS), sizes)
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _write_offsets(path: Path, sizes: Sequence[int]) -> None:
    begins = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    content = BytesIO()
    np.save(content, begins, allow_pickle=False)
    write_atomic(path, content.getvalue())


def _append_part(cache: Path, part: Path) -> None:
    with cache.open("ab") as target, part.open("rb") as source:
        shutil.copyfileobj(source, target)


def _encode_one(job: tuple[EpisodePart, Path, tuple[int, int, int]]) -> list[int] | str:
    """Write a part's JPEGs one after the other; returns the size of each in bytes, or why that cannot be done."""
    part, path, shape = job
    sizes = []
    try:
        with path.open("wb") as file:
            for jpeg in map(_jpeg, resized_frames(part.video, part.length, shape)):
                sizes.append(file.write(jpeg))
    except CaptureError as error:
        return part.reason(error)
    return sizes


def _jpeg(frame: Frame) -> bytes:
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), _SETTINGS)
    if not done:
        raise CaptureError(f"a frame of {frame.shape} cannot be written as JPEG")
    return jpeg.tobytes()

"""Feature statistics: minimum, maximum, mean and deviation per episode, and merged over episodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games import Frame
from recorder.format.manifest import CaptureError

Stats = dict[str, list[Any]]
"""min, max, mean, std as nested lists of one shape, and count as a list of one number."""


def column_stats(rows: NDArray[Any]) -> Stats:
    """Statistics of a column, (T,) or (T, D): each of shape (1,) or (D,)."""
    values = rows.astype(np.float64).reshape(len(rows), -1)
    return _stats(values, len(values), (values.shape[1],))


def frame_stats(frames: Iterable[Frame]) -> Stats:
    """Statistics per channel of frames (H, W, 3), in [0, 1], each of shape (3, 1, 1), as LeRobot has them.

    One frame at a time is in memory: a pixel is one of 256 values, so how often each occurs says everything, exactly.
    """
    counts = np.zeros((3, 256), np.int64)
    number = 0
    for frame in frames:
        number += 1
        for channel in range(3):
            counts[channel] += np.bincount(frame[:, :, channel].reshape(-1), minlength=256)
    if not number:
        raise CaptureError("no frame can be decoded")
    levels = np.arange(256) / 255
    mean = counts @ levels / counts.sum(1)
    variance = (counts * (levels - mean[:, None]) ** 2).sum(1) / counts.sum(1)
    bounds = [levels[count > 0][[0, -1]] for count in counts]
    values = {
        "min": [b[0] for b in bounds],
        "max": [b[1] for b in bounds],
        "mean": mean,
        "std": np.sqrt(variance),
    }
    shaped = {name: np.reshape(value, (3, 1, 1)).tolist() for name, value in values.items()}
    return {**shaped, "count": [number]}


def merge_stats(parts: Sequence[Stats]) -> Stats:
    """The statistics of all parts together, from those of each."""
    counts = np.array([part["count"][0] for part in parts], np.float64)
    mean, std = (np.array([part[name] for part in parts], np.float64) for name in ("mean", "std"))
    weight = (counts / counts.sum()).reshape(-1, *([1] * (mean.ndim - 1)))
    merged_mean = (weight * mean).sum(0)
    variance = (weight * (std**2 + (mean - merged_mean) ** 2)).sum(0)
    return {
        "min": np.min([part["min"] for part in parts], axis=0).tolist(),
        "max": np.max([part["max"] for part in parts], axis=0).tolist(),
        "mean": merged_mean.tolist(),
        "std": np.sqrt(variance).tolist(),
        "count": [int(counts.sum())],
    }


def _stats(values: NDArray[np.float64], count: int, shape: tuple[int, ...]) -> Stats:
    return {
        "min": values.min(0).reshape(shape).tolist(),
        "max": values.max(0).reshape(shape).tolist(),
        "mean": values.mean(0).reshape(shape).tolist(),
        "std": values.std(0).reshape(shape).tolist(),
        "count": [count],
    }

"""Placement of episodes in shared videos: which of a file's pictures are an episode's.

Pictures are counted: an episode begins after the pictures of all episodes before it in the same file. Times only check
the count. A start that drifts by a part of a picture changes nothing; where counts and times lead to different
pictures, the episode is refused, since no one can say which is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recorder.format.manifest import CaptureError
from recorder.format.video_index import VideoIndex


@dataclass(frozen=True)
class Placement:
    """An episode's pictures: `length` from picture `first` of the file on, which begin there at `start_s`."""

    path: Path
    first: int
    length: int
    start_s: float
    file_start_s: float
    """`start_s` of the file's first episode."""


def place_episodes(spans: Iterable[tuple[int, Path, float, int]]) -> dict[int, Placement]:
    """The placement of each episode, from its number, video, first second and length."""
    placements: dict[int, Placement] = {}
    counted: dict[Path, int] = {}
    file_starts: dict[Path, float] = {}
    for number, path, start, length in sorted(spans, key=lambda span: (span[2], span[0])):
        first = counted.get(path, 0)
        file_start = file_starts.setdefault(path, start)
        placements[number] = Placement(path, first, length, start, file_start)
        counted[path] = first + length
    return placements


def check_placement(
    placement: Placement, index: VideoIndex, timestamps: NDArray[np.float64], rate: float
) -> None:
    """Raise `CaptureError` where an episode's pictures, by their number, are not those of its steps, by their time.

    `timestamps` (T,) are the steps' seconds since the start of the episode. A file's times begin at 0 or where its
    first picture is, whichever is nearer to its first episode's start. A picture is a step's where no other is nearer
    in time, and it is off by half a step at most.
    """
    first, length = placement.first, placement.length
    seconds = index.seconds
    if first + length > len(seconds):
        raise CaptureError(
            f"{placement.path.name} has {len(seconds)} pictures, its are {first} to {first + length - 1}"
        )
    if abs(placement.file_start_s) < abs(seconds[0] - placement.file_start_s):
        seconds = seconds - seconds[0]
    wanted = placement.start_s + timestamps
    nearest = np.searchsorted((seconds[1:] + seconds[:-1]) / 2, wanted)
    numbers = np.arange(first, first + length)
    is_other = (nearest != numbers) | (np.abs(seconds[numbers] - wanted) > 0.5 / rate)
    if not is_other.any():
        return
    step = int(np.argmax(is_other))
    raise CaptureError(
        f"step {step} is at {wanted[step]:.4f} s of {placement.path.name}, but its picture by number, {first + step}, "
        f"is at {seconds[first + step]:.4f} s: which is right is not certain"
    )

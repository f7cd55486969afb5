"""Picture times of a video: its rate, its length, and which picture is shown at a time. Pure, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICK_S = 0.05
"""Duration of a client tick in seconds."""
ROUNDING_S = 0.002
"""Seconds by which the times of a file may miss its rate: containers round to milliseconds."""
EARLY_S = 0.0005
"""Seconds by which a picture may begin after the row that it belongs to: half of the millisecond of `milli`."""
MIN_OCCUPIED = 0.8
"""Share of a constant rate's places that hold a picture; with fewer the rate is taken as variable."""
MAX_SLACK_S = 0.25
"""Longest duration of a last picture that is allowed for where a video's length is compared."""

Seconds = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class PictureTimes:
    """Times of a video's pictures."""

    seconds: Seconds
    """Seconds since the first picture, ascending, at least one."""
    picture_s: float
    """Usual duration of a picture."""
    is_constant: bool
    """Whether pictures come at a constant rate, of which some may be missing."""
    is_per_tick: bool
    """Whether that rate is 20 a second: one picture a tick."""
    is_torn: bool = False
    """Whether the file ends before its pictures do."""

    @classmethod
    def of(
        cls, seconds: Seconds, *, is_torn: bool = False, is_sparse: bool = False
    ) -> PictureTimes:
        """Times with their rate; seconds ascend from 0.

        `is_sparse`: where each begins at a tick they are one a tick, however many ticks have none.
        """
        gaps = np.diff(seconds)
        if not len(gaps):
            return cls(seconds, TICK_S, True, True, is_torn)
        if _is_on_grid(seconds, TICK_S, min_occupied=0.0 if is_sparse else MIN_OCCUPIED):
            return cls(seconds, TICK_S, True, True, is_torn)
        usual = _constant_duration(seconds, gaps)
        is_constant = usual > 0 and _is_on_grid(seconds, usual)
        return cls(seconds, usual if is_constant else float(np.median(gaps)), is_constant, False, is_torn)  # fmt: skip

    @property
    def end_s(self) -> float:
        """The end of the last picture."""
        return float(self.seconds[-1]) + self.picture_s

    @property
    def ticks(self) -> int:
        """Number of ticks that a video of one picture a tick shows, missing pictures included."""
        return round(float(self.seconds[-1]) / TICK_S) + 1

    def fits(self, span_s: float, *, loosely: bool = False) -> bool:
        """Whether rows that take this long may fill the video from its first picture to its last.

        To the tick where there is one picture a tick, else to one tick or picture. How long the last picture of a
        variable rate is shown is not known: up to `MAX_SLACK_S`, or with `loosely` as long as any other.
        """
        if self.is_per_tick:
            return abs(self.ticks * TICK_S - span_s) < TICK_S / 2
        slack = self.picture_s
        if not self.is_constant:
            longest = float(np.diff(self.seconds).max())
            slack = longest if loosely else min(longest, MAX_SLACK_S)
        return abs(self.end_s - span_s) <= max(TICK_S, slack) + ROUNDING_S

    def shown(self, times: Seconds) -> Indices:
        """Index of the picture that is shown at each time (N,), -1 for none.

        That is the last one that began. At a constant rate it lasts for its usual duration, so that no picture stands
        for a missing one after it; at a variable rate until the next, and the last of a torn file not at all.
        """
        if self.is_per_tick:
            return self._in_place(np.round(times / TICK_S))
        early = min(EARLY_S, self.picture_s / 4)
        last = np.searchsorted(self.seconds, times + early, side="right") - 1
        begin = self.seconds[np.maximum(last, 0)]
        is_last = last == len(self.seconds) - 1
        lasts_s = 0.0 if self.is_torn and not self.is_constant else self.picture_s
        is_lasting = times + early < begin + lasts_s + early / 2
        is_shown = (last >= 0) & (is_lasting | (~is_last & (not self.is_constant)))
        return np.where(is_shown, last, -1).astype(np.int64)

    def _in_place(self, places: Seconds) -> Indices:
        """Index of the picture whose own tick is this one, -1 for none."""
        of_pictures = np.round(self.seconds / TICK_S)
        index = np.minimum(np.searchsorted(of_pictures, places), len(of_pictures) - 1)
        return np.where(of_pictures[index] == places, index, -1).astype(np.int64)


def _constant_duration(seconds: Seconds, gaps: Seconds) -> float:
    """The duration of which most gaps are one, and all others multiples; 0 where there is none."""
    median = float(np.median(gaps))
    near = gaps[np.abs(gaps - median) < median / 4]
    pictures = float(np.round(gaps / near.mean()).sum()) if len(near) else 0.0
    return float(seconds[-1]) / pictures if pictures else 0.0


def _is_on_grid(seconds: Seconds, duration: float, min_occupied: float = MIN_OCCUPIED) -> bool:
    """Whether each picture begins at a place of its own of a constant rate, and few places are empty."""
    places = np.round(seconds / duration)
    is_near = np.abs(seconds - places * duration) <= min(ROUNDING_S, duration / 8)
    is_dense = len(seconds) >= min_occupied * (places[-1] + 1)
    return bool(is_near.all() and (np.diff(places) >= 1).all() and is_dense)

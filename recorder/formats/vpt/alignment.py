"""Alignment of rows and pictures by their clocks. Pure, no I/O.

A row carries the client's `tick` (20 a second) and `milli` (wall clock); a picture its time in the video. A row is
placed only where its picture is certain; every other row is left out, with the reason.

The contractors' recorder wrote one picture a tick, also while the game lagged: a video of 20 pictures a second follows
the tick. A video of another rate was filmed beside the game and follows the wall clock.

=======================  ==========================================================================
video                    rows are placed
=======================  ==========================================================================
20/s, as long as ticks   by tick
20/s, another length     by tick, up to where tick and milli differ by more than half a picture
other, fits milli        by milli; where ticks fit as well, without rows for which the two differ by
                         more than half a tick
other, fits ticks only   by milli, up to where the two differ by more than half a picture
other, fits neither      not at all: where its first row lies is not known. Up to where the two
                         differ, if the video or the rows are torn off, which explains the length
=======================  ==========================================================================

The first row belongs to the first picture, in a film to within a tick. Where ticks begin above 0 the first rows may be
missing, and the first picture then belongs to tick 0: the length decides, and where it does not, nothing is placed.
Without ticks, lines are counted in their place, and trusted as far as milli confirms them; without either clock only
where there is one line for each picture of a video of 20/s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recorder.format.manifest import CaptureError
from recorder.formats.vpt.picture_times import TICK_S, Indices, PictureTimes, Seconds
from recorder.formats.vpt.row_ticks import RowClocks, RowTicks, Trouble, number_rows

_ROUNDING_S = 1e-6
REGULAR_S = 0.005
"""Seconds by which milli may miss twentieths of a second where lines without ticks are placed by it, one a picture."""


@dataclass(frozen=True)
class Alignment:
    """The picture of every row of a recording."""

    pictures: Indices
    """Index of its picture, -1 for none: the row is left out."""
    ticks: NDArray[np.int64]
    """Ticks since the first picture, of placed rows: where they leave one out, a step is missing."""
    clock: str
    """The clock that placed them: tick, milli or count."""
    troubles: tuple[Trouble, ...] = ()
    """Why rows that a picture could have had were left out."""


@dataclass(frozen=True)
class _Placement:
    """Times of rows (N,) in seconds since the first picture, and which rows are certain."""

    clock: str
    seconds: Seconds
    certain: NDArray[np.bool_]
    troubles: tuple[Trouble, ...] = ()

    def cut(self, row: int, line: int, why: str) -> _Placement:
        """Leave out a row and all after it."""
        certain = self.certain & (np.arange(len(self.certain)) < row)
        trouble = Trouble(line, f"{why}: it and all after it are left out")
        return replace(self, certain=certain, troubles=(*self.troubles, trouble))


class _Aligner:
    """Rows with both clocks in seconds since the first picture, and their video."""

    def __init__(self, rows: RowTicks, first_tick: float, video: PictureTimes) -> None:
        self.rows, self.first_tick, self.video = rows, first_tick, video
        self.tick_s = (rows.ticks - first_tick) * TICK_S
        self.milli_s = np.full_like(self.tick_s, np.nan)
        timed = rows.timed
        if timed.size:
            since = (rows.clocks.millis - rows.clocks.millis[timed[0]]) / 1000
            self.milli_s = since + self.tick_s[timed[0]]
        self.has_milli = bool(timed.size)
        self.apart_s = np.where(rows.usable, np.abs(self.milli_s - self.tick_s), np.nan)

    def placement(self) -> _Placement:
        """The table above."""
        if self.rows.is_counted:
            if not self.has_milli:
                return self._by_count()
            if self.rows.clocks.positions[0]:
                raise CaptureError(
                    "whether its first line was a tick is not certain: no row has one"
                )
        if self.video.is_per_tick:
            return self._one_picture_a_tick()
        return self._filmed()

    def _by_count(self) -> _Placement:
        lines, video = self.rows.clocks.count, self.video
        if not video.is_per_tick or not video.ticks == len(video.seconds) == lines:
            raise CaptureError(
                f"its rows have neither tick nor milli, and {lines} lines for {len(video.seconds)} pictures in "
                f"{video.end_s:.2f} s cannot be counted: that needs a line for each picture, 20 a second"
            )
        return self._by_tick("count")

    def _one_picture_a_tick(self) -> _Placement:
        rows, apart = self.rows, self._first_apart()
        placement = self._by_tick("count" if rows.is_counted else "tick")
        if apart is not None and rows.is_counted:
            return self._by_regular_milli() or self._up_to(apart, placement)
        if self._fits_ticks():
            return placement
        if apart is not None:
            return self._up_to(apart, placement)
        doubt = rows.first_doubt
        if doubt is None or (self.has_milli and not rows.is_counted):
            return placement
        why = f"{self._lengths()}, and whether the line before it was a tick is not certain"
        return placement.cut(doubt, int(rows.clocks.lines[doubt]), why)

    def _by_regular_milli(self) -> _Placement | None:
        """By milli where it keeps to twentieths of a second; None where it does not, as then the game lagged."""
        places = np.round(self.milli_s / TICK_S)
        is_regular = np.nanmax(np.abs(self.milli_s - places * TICK_S)) <= REGULAR_S
        if not is_regular or not self._fits_milli():
            return None
        placed = places[self.rows.usable & ~np.isnan(places)]
        values, counts = np.unique(placed, return_counts=True)
        is_single = np.isin(places, values[counts == 1])
        return _Placement("milli", places * TICK_S, self.rows.usable & is_single)

    def _filmed(self) -> _Placement:
        rows = self.rows
        fits_ticks = not rows.is_counted and self._fits_ticks()
        if not self.has_milli:
            if fits_ticks:
                return self._by_tick("tick")
            raise CaptureError(f"{self._lengths()}: without milli its rows cannot be placed")
        if self.tick_s[self.rows.timed[0]] > 0:
            raise CaptureError(
                "its first rows are missing, and when a film's first picture was is told by the first row alone"
            )
        placement = self._by_milli()
        if self._fits_milli():
            return self._without_apart(placement) if fits_ticks else placement
        if not fits_ticks and not self._is_torn():
            raise CaptureError(f"{self._lengths()}: where its first row lies is not certain")
        apart = self._first_apart()
        return placement if apart is None else self._up_to(apart, placement)

    def _by_tick(self, clock: str) -> _Placement:
        return _Placement(clock, self.tick_s, self.rows.usable)

    def _by_milli(self) -> _Placement:
        placement = _Placement("milli", self.milli_s, self.rows.usable)
        timed = self.rows.timed
        if not (backwards := np.flatnonzero(np.diff(self.milli_s[timed]) < 0)).size:
            return placement
        row = int(timed[backwards[0] + 1])
        return placement.cut(row, int(self.rows.clocks.lines[row]), "milli runs backwards")

    def _without_apart(self, placement: _Placement) -> _Placement:
        """Leave out single rows for which tick and milli are far apart, though both fit the video's length."""
        is_apart = self.apart_s > TICK_S / 2 + _ROUNDING_S
        if not is_apart.any():
            return placement
        first = int(np.argmax(is_apart))
        why = f"{self._both(first)}; {is_apart.sum()} such rows are left out"
        trouble = Trouble(int(self.rows.clocks.lines[first]), why)
        certain = placement.certain & ~is_apart
        return replace(placement, certain=certain, troubles=(*placement.troubles, trouble))

    def _first_apart(self) -> int | None:
        """The first row in the video for which tick and milli differ by more than half a picture."""
        is_inside = np.fmin(self.tick_s, self.milli_s) < self.video.end_s
        is_apart = self.apart_s > self.video.picture_s / 2 + _ROUNDING_S
        return int(np.argmax(is_apart & is_inside)) if (is_apart & is_inside).any() else None

    def _up_to(self, row: int, placement: _Placement) -> _Placement:
        why = f"{self._both(row)}, and {self._lengths()}"
        return placement.cut(row, int(self.rows.clocks.lines[row]), why)

    def _is_torn(self) -> bool:
        """Whether a file that is cut off explains the video's length."""
        is_short = self.video.end_s < self.rows.milli_spans(self.first_tick)[0]
        return self.video.is_torn if is_short else self.rows.clocks.is_torn

    def _fits_ticks(self) -> bool:
        return any(map(self.video.fits, self.rows.tick_spans(self.first_tick)))

    def _fits_milli(self) -> bool:
        return any(map(self.video.fits, self.rows.milli_spans(self.first_tick)))

    def _both(self, row: int) -> str:
        return f"it is {self.tick_s[row]:.2f} s after the first picture by tick, {self.milli_s[row]:.2f} s by milli"

    def _lengths(self) -> str:
        ticks, millis = self.rows.tick_spans(self.first_tick)[0], ""
        if self.has_milli:
            millis = f", {self.rows.milli_spans(self.first_tick)[0]:.2f} s by milli"
        return f"the video lasts {self.video.end_s:.2f} s, its rows {ticks:.2f} s by tick{millis}"


def align(clocks: RowClocks, video: PictureTimes) -> Alignment:
    """Place the rows of a recording; raises `CaptureError` with the reason where none is certain."""
    rows = number_rows(clocks)
    if not rows.usable.any():
        raise CaptureError(
            f"no row is certain; line {rows.troubles[0].line}: {rows.troubles[0].why}"
        )
    first_tick = _first_tick(rows, video)
    placement = _Aligner(rows, first_tick, video).placement()
    pictures = np.where(placement.certain, video.shown(placement.seconds), -1)
    troubles = (*rows.troubles, *placement.troubles)
    if (pictures < 0).all():
        why = f"; line {troubles[0].line}: {troubles[0].why}" if troubles else ""
        raise CaptureError(f"no row is certain to have a picture{why}")
    ticks = rows.ticks - first_tick
    if rows.is_counted and placement.clock == "milli":
        ticks = placement.seconds / TICK_S
    return Alignment(pictures, _whole(ticks), placement.clock, troubles)


def _first_tick(rows: RowTicks, video: PictureTimes) -> float:
    """The tick of the first picture: the likely one, or where there is doubt the one that the length fits."""
    if len(rows.first_ticks) == 1:
        return rows.first_ticks[0]
    is_filmed = not video.is_per_tick and rows.timed.size > 0
    spans = {
        first: (rows.milli_spans if is_filmed else rows.tick_spans)(first)
        for first in rows.first_ticks
    }
    possible = [
        first for first in spans if any(video.fits(span, loosely=True) for span in spans[first])
    ]
    if len(possible) == 1 and any(map(video.fits, spans[possible[0]])) and not video.is_torn:
        return possible[0]
    ticks = " or ".join(f"{first:.0f} ({spans[first][0]:.2f} s of rows)" for first in spans)
    fit = "is torn off" if video.is_torn else f"fits {'several' if possible else 'none'} of them"
    raise CaptureError(
        f"its ticks do not begin at 0, and its first picture may belong to tick {ticks}: the video of "
        f"{video.end_s:.2f} s {fit}"
    )


def _whole(ticks: Seconds) -> NDArray[np.int64]:
    """Ticks as whole numbers, -1 for none."""
    return np.where(np.isnan(ticks), -1, np.round(ticks)).astype(np.int64)

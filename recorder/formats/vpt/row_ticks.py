"""Tick numbers of a recording's rows: doubled ticks, restarts of the counter, lines without a clock. Pure, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recorder.formats.vpt.picture_times import TICK_S, Indices, Seconds

MAX_CONFLICTS = 20
"""Doubled ticks of one recording that are named one by one."""


@dataclass(frozen=True)
class RowClocks:
    """What the rows of a file say about time: arrays (N,) with one element a row that can be read."""

    lines: Indices
    """Line number, from 1."""
    positions: Indices
    """Number among all lines that are not empty, from 0, also those that cannot be read."""
    ticks: Seconds
    """Client tick, NaN for none."""
    millis: Seconds
    """Wall clock in milliseconds, NaN for none."""
    digests: Indices
    """A hash of the line."""
    count: int
    """Number of all lines that are not empty."""
    is_torn: bool = False
    """Whether the last line is cut off."""


class Trouble(NamedTuple):
    """Why rows are left out, and the line of the first of them."""

    line: int
    why: str


@dataclass(frozen=True)
class RowTicks:
    """Rows with their ticks, read or counted."""

    clocks: RowClocks
    ticks: Seconds
    """(N,), NaN where there is none."""
    usable: NDArray[np.bool_]
    """(N,): false for rows without a tick, of a doubled tick, or after a restart of the counter."""
    is_counted: bool
    """Whether no row has a tick, and lines are counted instead."""
    first_ticks: tuple[float, ...]
    """Ticks that the first picture may belong to, the likely one first; one where there is no doubt."""
    steps: float
    """Ticks from the first row to the last, restarts of the counter passed over."""
    unreadable_after: int
    """Lines after the last row, which may have been ticks."""
    first_doubt: int | None = None
    """The first row whose tick another row with other content has, or after a line that may have been none."""
    troubles: tuple[Trouble, ...] = ()

    @property
    def timed(self) -> Indices:
        """The usable rows that have a milli."""
        return np.flatnonzero(self.usable & ~np.isnan(self.clocks.millis))

    def tick_spans(self, first: float) -> tuple[float, float]:
        """Seconds that the rows take by tick, from this first tick on: without and with unreadable lines at the end."""
        read = self.ticks[~np.isnan(self.ticks)]
        return self._spans((float(read[0]) - first + self.steps + 1) * TICK_S)

    def milli_spans(self, first: float) -> tuple[float, float]:
        """The same by milli, from the first row that has one to the last."""
        begin, millis = self.timed[0], self.clocks.millis[~np.isnan(self.clocks.millis)]
        before_s = (self.ticks[begin] - first) * TICK_S
        return self._spans((millis[-1] - self.clocks.millis[begin]) / 1000 + before_s + TICK_S)

    def _spans(self, seconds: float) -> tuple[float, float]:
        return float(seconds), float(seconds) + self.unreadable_after * TICK_S


def number_rows(clocks: RowClocks) -> RowTicks:
    """The rows' ticks; where no row has one, the number of its line among those that are not copies of another."""
    if np.isnan(clocks.ticks).all():
        return _counted(clocks)
    return _read(clocks)


def _counted(clocks: RowClocks) -> RowTicks:
    has_milli = ~np.isnan(clocks.millis)
    is_copy = np.zeros(len(clocks.lines), bool)
    # Without any clock two equal lines are two ticks at rest.
    is_copy[1:] = (np.diff(clocks.digests) == 0) & has_milli[1:]
    after_unreadable = np.flatnonzero(np.diff(clocks.positions) > 1) + 1
    return RowTicks(
        clocks=clocks,
        ticks=(clocks.positions - np.cumsum(is_copy)).astype(np.float64),
        usable=~is_copy,
        is_counted=True,
        first_ticks=(0.0,),
        steps=float(clocks.positions[-1] - clocks.positions[0] - is_copy.sum()),
        unreadable_after=_unreadable_after(clocks),
        first_doubt=int(after_unreadable[0]) if after_unreadable.size else None,
    )


def _read(clocks: RowClocks) -> RowTicks:
    """Ticks as they are read: of each only one row, or none where several differ, up to where they run backwards."""
    usable = ~np.isnan(clocks.ticks)
    numbered = np.flatnonzero(usable)
    troubles = []
    if without := len(usable) - len(numbered):
        line = int(clocks.lines[np.flatnonzero(~usable)[0]])
        troubles.append(Trouble(line, f"{_rows(without)} no tick, as the others do"))
    steps = np.diff(clocks.ticks[numbered])
    if (backwards := np.flatnonzero(steps < 0)).size:
        restart = numbered[backwards[0] + 1]
        usable[restart:] = False
        before, after = clocks.ticks[numbered[backwards[0]]], clocks.ticks[restart]
        why = f"ticks run backwards, from {before:.0f} to {after:.0f}: it and all after it are left out"
        troubles.append(Trouble(int(clocks.lines[restart]), why))
    conflicts = _keep_one_a_tick(clocks, usable)
    for row in conflicts[:MAX_CONFLICTS]:
        why = f"tick {clocks.ticks[row]:.0f} has several rows that differ: none is certain"
        troubles.append(Trouble(int(clocks.lines[row]), why))
    if further := conflicts[MAX_CONFLICTS:]:
        why = f"{len(further)} further ticks from here on have several rows that differ"
        troubles.append(Trouble(int(clocks.lines[further[0]]), why))
    return RowTicks(
        clocks=clocks,
        ticks=clocks.ticks,
        usable=usable,
        is_counted=False,
        first_ticks=_first_ticks(clocks, int(numbered[0])),
        steps=float(np.where(steps < 0, 1, steps).sum()),
        unreadable_after=_unreadable_after(clocks),
        first_doubt=conflicts[0] if conflicts else None,
        troubles=tuple(troubles),
    )


def _keep_one_a_tick(clocks: RowClocks, usable: NDArray[np.bool_]) -> list[int]:
    """Mark all but one of equal rows of a tick as not usable, and all of differing ones; returns the first of these."""
    rows = np.flatnonzero(usable)
    begins = np.flatnonzero(np.diff(clocks.ticks[rows], prepend=-1.0) != 0)
    ends = np.append(begins[1:], len(rows))
    conflicts = []
    for begin, end in zip(begins, ends, strict=True):
        if end - begin > 1:
            same = rows[begin:end]
            usable[same[1:]] = False
            if (clocks.digests[same] != clocks.digests[same[0]]).any():
                usable[same[0]] = False
                conflicts.append(int(same[0]))
    return conflicts


def _first_ticks(clocks: RowClocks, row: int) -> tuple[float, ...]:
    """Candidates for the first picture's tick: unreadable lines before the first row may have been ticks or not."""
    tick, before = float(clocks.ticks[row]), float(clocks.positions[row])
    if tick <= before:
        return (0.0,)
    return tuple(dict.fromkeys((tick - before, 0.0, tick)))


def _unreadable_after(clocks: RowClocks) -> int:
    return int(clocks.count - 1 - clocks.positions[-1])


def _rows(count: int) -> str:
    return "one row has" if count == 1 else f"{count} rows have"

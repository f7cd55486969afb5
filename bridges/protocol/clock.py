"""Clock offset: how far the server's clock is ahead of ours, by exchanges of four timestamps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

EXCHANGES = 16
"""Newest exchanges of which the best counts, so that a drift of the clocks is followed."""


@dataclass(frozen=True)
class Exchange:
    """One question and its answer, in milliseconds: sent and received by our clock, `t1` and `t2` by the server's."""

    t0: float
    t1: float
    t2: float
    t3: float

    @property
    def round_trip_ms(self) -> float:
        """Time on the way, both ways together."""
        return (self.t3 - self.t0) - (self.t2 - self.t1)

    @property
    def offset_ms(self) -> float:
        """The server's clock minus ours, as if both ways took equally long; half a round trip more or less."""
        return ((self.t1 - self.t0) + (self.t2 - self.t3)) / 2


class ClockDifference(NamedTuple):
    """The server's clock minus ours in seconds; the true one is at most `uncertainty_s` away."""

    offset_s: float
    uncertainty_s: float


class ClockOffset:
    """Estimate from several exchanges: the one with the shortest round trip."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=EXCHANGES)

    def add(self, exchange: Exchange) -> None:
        """Take an exchange in; one that would have taken less than no time is left out."""
        if exchange.t3 >= exchange.t0 and exchange.t2 >= exchange.t1:
            self._exchanges.append(exchange)

    @property
    def best(self) -> Exchange | None:
        """The exchange with the shortest round trip among the newest; None before the first."""
        return min(self._exchanges, key=lambda exchange: exchange.round_trip_ms, default=None)

    @property
    def difference(self) -> ClockDifference | None:
        """What the best exchange says; None before the first."""
        best = self.best
        if best is None:
            return None
        return ClockDifference(best.offset_ms / 1000, best.round_trip_ms / 2000)

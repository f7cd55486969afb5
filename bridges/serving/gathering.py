"""Gathering: pictures that a lockstep game's agents send together, and that one pass shall answer together.

They come one after the other, and a pass that begins with the first would leave the others to a second one. So they
wait for each other: for as many as had no answer at the same time in the game's step before, and not for long. A game
that waits for each agent's answer in turn never has two of them, and waits for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

GATHER_S = 0.01
"""Longest wait of a step's first picture for the others."""


class Gathering:
    """Of one connection's agents; times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._unanswered: Counter[int] = Counter()
        """By agent."""
        self._expected = self._most = 0
        """Agents without an answer at the same time: in the step before, and in this one so far."""
        self._since = 0.0

    def arrived(self, agent: int, now: float) -> None:
        """An agent's picture came; the first after all were answered begins a step."""
        if not self._unanswered:
            self._expected, self._most, self._since = self._most, 0, now
        self._unanswered[agent] += 1
        self._most = max(self._most, len(self._unanswered))

    def settled(self, agent: int, pictures: int = 1) -> None:
        """So many of an agent's pictures wait no more for their answers."""
        self._unanswered[agent] -= pictures
        self._unanswered = +self._unanswered

    def rest_s(self, ready: int, now: float) -> float:
        """Seconds for which so many agents whose pictures are ready still wait for the others."""
        return 0.0 if ready >= self._expected else max(0.0, self._since + GATHER_S - now)


class Gathered(Protocol):
    """A session that may wait for others."""

    @property
    def gathering(self) -> Gathering | None: ...


def rests_s(ready: Sequence[Gathered], now: float) -> list[float]:
    """For how many seconds each of these sessions, whose pictures are ready, waits for others."""
    counts = Counter(session.gathering for session in ready)
    return [
        0.0 if (group := session.gathering) is None else group.rest_s(counts[group], now)
        for session in ready
    ]

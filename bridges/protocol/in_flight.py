"""In flight: the lockstep observations and the queries of one connection that have no answer yet."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from bridges.protocol.fields import MAX_INT
from bridges.protocol.limits import ConnectionLimits


class InFlight:
    """Counts both, within the connection's limits."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._observations: deque[tuple[int, int, int]] = deque()
        """Agents, numbers and bytes, the oldest first."""
        self._queries: Counter[int] = Counter()

    @property
    def observations(self) -> int:
        return len(self._observations)

    def add_observation(self, number: int, size: int, agent: int = 0) -> str:
        """Count an agent's observation of `size` bytes; returns why not where there are too many."""
        limits = self._limits
        waiting = [waiting for whose, _, waiting in self._observations if whose == agent]
        total = size + sum(waiting)
        if waiting and (len(waiting) >= limits.max_in_flight or total > limits.max_in_flight_bytes):
            return (
                f"in lockstep at most {limits.max_in_flight} pictures or {limits.max_in_flight_bytes >> 20} MiB wait "
                "for their answers"
            )
        self._observations.append((agent, number, size))
        return ""

    def add_query(self, query_id: int) -> str:
        """Count a query; returns why not where there are too many."""
        most = self._limits.max_queries
        if self._queries.total() >= most:
            return f"{most} queries wait for their answers: ask again after one of them"
        self._queries[query_id] += 1
        return ""

    def settle(
        self, number: int | None = None, query_id: int | None = None, agent: int = 0
    ) -> None:
        """The oldest observation of this agent's number and a query of this id have their answers."""
        for entry in self._observations:
            if entry[:2] == (agent, number):
                self._observations.remove(entry)
                break
        if query_id is not None and self._queries[query_id] > 0:
            self._queries[query_id] -= 1
        self._queries = +self._queries

    def clear(self) -> None:
        self._observations.clear()
        self._queries.clear()


def query_id_of(value: dict[str, Any]) -> int | None:
    """The id in a message that may be wrong otherwise, where it is one."""
    number = value.get("id")
    return number if type(number) is int and abs(number) <= MAX_INT else None

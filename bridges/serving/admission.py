"""Admission: which connections may stay, from their first byte on, without sockets and without a clock.

A peer before its hello takes nobody's place: with few of them each has the whole time for it, with many a short one,
and the oldest makes room for the newest. A connection that closes gives its place up at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from bridges.serving.limits import ServerLimits

_C = TypeVar("_C")


class Admission(Generic[_C]):
    """Counts connections of type `_C`; what it returns is to be aborted by the caller."""

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self._pending: dict[_C, float] = {}
        """When each connection without a hello came, the oldest first."""
        self._admitted: set[_C] = set()
        self._closing: dict[_C, float] = {}

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def admitted(self) -> int:
        return len(self._admitted)

    def enter(self, connection: _C, now: float) -> list[_C]:
        """A connection was opened; returns those that make room for it."""
        self._pending[connection] = now
        return self._oldest(self._pending, self.limits.connections)

    def admit(self, connection: _C) -> bool:
        """Its hello was right: whether it may stay. One that has left meanwhile may not."""
        if connection not in self._pending or len(self._admitted) >= self.limits.connections:
            return False
        del self._pending[connection]
        self._admitted.add(connection)
        return True

    def start_closing(self, connection: _C, now: float) -> list[_C]:
        """It is closing and has no place any more; returns closing ones that are too many.

        One that has left already stays away: nothing would ever remove it again.
        """
        if connection not in {*self._pending, *self._admitted, *self._closing}:
            return []
        self._pending.pop(connection, None)
        self._admitted.discard(connection)
        self._closing.setdefault(connection, now)
        return self._oldest(self._closing, self.limits.connections)

    def leave(self, connection: _C) -> None:
        """It is gone."""
        self._pending.pop(connection, None)
        self._admitted.discard(connection)
        self._closing.pop(connection, None)

    def overdue(self, now: float) -> list[_C]:
        """Those whose time for a hello or for closing is over."""
        limits = self.limits
        late = [c for c, since in self._closing.items() if now - since > limits.close_s]
        beyond = len(self._pending) - limits.unauthenticated
        for place, (connection, since) in enumerate(self._pending.items()):
            timeout_s = limits.hello_grace_s if place < beyond else limits.hello_timeout_s
            if now - since > timeout_s:
                late.append(connection)
        return late

    @property
    def outside(self) -> list[_C]:
        """Those without a place: before their hello, or closing."""
        return [*self._pending, *self._closing]

    def __iter__(self) -> Iterator[_C]:
        """All of them, in any order."""
        return iter([*self._pending, *self._admitted, *self._closing])

    def _oldest(self, connections: dict[_C, float], most: int) -> list[_C]:
        """Those at the front beyond the newest `most`."""
        return list(connections)[: max(0, len(connections) - most)]

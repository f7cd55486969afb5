"""Fragments: in how many pieces a message may come, without sockets."""

from __future__ import annotations

from bridges.protocol.limits import ConnectionLimits


class FragmentCounter:
    """Counts the pieces of the message under way; each costs memory and time, be it a byte long."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._most = limits.max_fragments
        self._count = 0

    def add(self, *, is_last: bool) -> str:
        """Count a piece; returns why not where there are too many."""
        self._count += 1
        reason = (
            f"a message comes in at most {self._most} fragments" if self._count > self._most else ""
        )
        if is_last:
            self._count = 0
        return reason

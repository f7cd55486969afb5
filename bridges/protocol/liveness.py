"""Liveness: whether a peer reads what is sent to it, from pings, pongs and unsent bytes; without a clock."""

from __future__ import annotations

from bridges.protocol.limits import ConnectionLimits

MAX_GAP_S = 0.5
"""Longest pause between two messages that counts as sending without reading."""


class Liveness:
    """What one peer shows of its reading; times in seconds of a monotonic clock."""

    def __init__(self, limits: ConnectionLimits, now: float) -> None:
        self._limits = limits
        self._pinged: float | None = None
        self._ponged = self._received = now
        self._unread_s = 0.0
        self._stalled: float | None = None

    def ping_due(self, now: float) -> bool:
        """Whether to ping the peer now; then `pinged` and `ponged` follow."""
        return self._pinged is None and now - self._ponged >= self._limits.ping_s

    def pinged(self, now: float) -> None:
        """A ping was sent."""
        self._pinged, self._unread_s = now, 0.0

    def ponged(self, now: float) -> None:
        """The peer answered the ping: it reads."""
        self._pinged, self._ponged = None, now

    def received(self, now: float) -> str | None:
        """A message came; the reason to cut the peer off, where it keeps sending and leaves our ping unread."""
        gap, self._received = now - self._received, now
        if self._pinged is None:
            return None
        self._unread_s += min(max(gap, 0.0), MAX_GAP_S)
        if self._unread_s > self._limits.unread_s:
            return "the peer sends and does not read"
        return None

    def tick(self, now: float, unsent: int) -> str | None:
        """The reason to cut the peer off by now, with `unsent` bytes that it has not taken."""
        limits = self._limits
        if self._pinged is not None and now - self._pinged > limits.silence_s:
            return f"no sign of life for {limits.silence_s:g} s"
        if unsent <= limits.stall_bytes:
            self._stalled = None
            return None
        self._stalled = now if self._stalled is None else self._stalled
        return "the peer does not read" if now - self._stalled > limits.stall_s else None

"""Server limits: connections, timeouts and rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerLimits:
    """Limits of one server; the defaults are those of PROTOCOL.md."""

    connections: int = 64
    hello_timeout_s: float = 5.0
    watch_hz: float = 12.0
    """Most pictures per second for each console."""
    report_s: float = 1.0
    """Time between two `state` messages."""
    stall_bytes: int = 1 << 20
    """A peer with more unsent bytes than this for `stall_s` seconds is cut off."""
    stall_s: float = 2.0
    shutdown_s: float = 2.0
    """Time for a polite close of all connections; then they are aborted."""

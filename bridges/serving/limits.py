"""Server limits: connections, timeouts and rates."""

from __future__ import annotations

from dataclasses import dataclass

from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.record_lane import RecordWindow

RECORD_WINDOW = RecordWindow()


@dataclass(frozen=True)
class ServerLimits(ConnectionLimits):
    """Limits of one server; the defaults are those of PROTOCOL.md."""

    connections: int = 64
    """Peers behind their hello."""
    unauthenticated: int = 8
    """Peers before their hello that may take `hello_timeout_s`; with more of them, each has `hello_grace_s`."""
    hello_grace_s: float = 1.0
    close_s: float = 1.0
    """Time for a polite close of one connection; then it is aborted."""
    sessions: int = 128
    """Agents of all games together."""
    record_window: RecordWindow = RECORD_WINDOW
    """What a recording may send before the recorder has it."""
    watch_hz: float = 12.0
    """Most pictures per second for each console."""
    watch_pixels: int = 640
    """Longest side of a console's picture."""
    report_s: float = 1.0
    """Time between two `state` messages, unless something changed."""
    max_failures: int = 20
    """Observations in a row that failed, after which a session is closed."""
    stuck_s: float = 15.0
    """Time without progress after which `/healthz` says so, where something waits."""
    resume_s: float = 30.0
    """Time for which a session that lost its connection can be resumed."""
    detached: int = 16
    """Sessions without a connection that may be resumed; of more the oldest end."""
    shutdown_s: float = 2.0
    """Time for a polite close of all connections; then they are aborted."""

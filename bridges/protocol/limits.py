"""Connection limits: deadlines and budgets of one connection."""

from __future__ import annotations

from dataclasses import dataclass

from bridges.protocol.lanes import Budget

PICTURES = Budget(messages_per_s=1000, bytes_per_s=256 << 20)
TEXTS = Budget(messages_per_s=1000, bytes_per_s=512 << 10)
REPORTS = Budget(messages_per_s=300, bytes_per_s=4 << 20)
MISTAKES = Budget(messages_per_s=20, bytes_per_s=2 << 20)
CONTROL_FRAMES = Budget(messages_per_s=100, bytes_per_s=64 << 10)


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of one connection; the defaults are those of PROTOCOL.md."""

    hello_timeout_s: float = 5.0
    pictures: Budget = PICTURES
    """Of a realtime game; in lockstep `max_in_flight` holds instead."""
    reports: Budget = REPORTS
    """JSON of pictures; in lockstep `max_in_flight` holds instead."""
    texts: Budget = TEXTS
    mistakes: Budget = MISTAKES
    """Messages that are answered with `bad_message`, `unknown_type` or `not_allowed`, and as much again with
    `bad_report`."""
    control_frames: Budget = CONTROL_FRAMES
    """Pings and pongs."""
    max_fragments: int = 1024
    """Pieces of one websocket message."""
    max_in_flight: int = 16
    """Lockstep observations without an answer."""
    max_in_flight_bytes: int = 8 << 20
    max_queries: int = 4
    """Queries without an answer."""
    ping_s: float = 5.0
    unread_s: float = 5.0
    """A peer that sends for so long and does not answer a ping does not read."""
    silence_s: float = 40.0
    """A peer that leaves a ping without an answer for so long is gone."""
    stall_bytes: int = 1 << 20
    """A peer with more unsent bytes than this for `stall_s` seconds is cut off."""
    stall_s: float = 2.0

"""Events: what happened in a match lately, from which effects are drawn and roles are judged."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal[
    "hit", "heal", "guarded", "missed", "cast", "down", "respawn", "captured", "pickup", "delivered"
]
LIFETIME = 40
"""Ticks for which an event is held."""


class Event(NamedTuple):
    """Something that happened at a place; what the rest means depends on its kind."""

    kind: Kind
    tick: int
    x: float
    y: float
    z: float
    seat: int = -1
    """Whom it happened to, or who did it."""
    by: int = -1
    """The seat that caused it."""
    amount: float = 0.0
    slot: int = 0
    """Which ability (0 is the melee attack), or which point."""

"""Fighter: the state of one of the eight, its timers in ticks of the match."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from games.brawl.classes import Ability, FighterClass

TICK_HZ = 20
"""Ticks of the simulation a second; a step of the game has two."""
TEAM_SIZE = 4
SEATS = 2 * TEAM_SIZE
EVADE = 5
"""Index of the dodge among the cooldowns: 0 is the melee attack, 1 to 3 the abilities, 4 the super ability."""


def ticks(seconds: float) -> int:
    """Seconds in ticks."""
    return round(seconds * TICK_HZ)


@dataclass(slots=True, eq=False)
class Fighter:
    """One fighter. Yaw and facing are radians, 0 north (+y), clockwise; places and speeds are in meters."""

    seat: int
    team: int
    kind: FighterClass
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    vx: float = 0.0
    vy: float = 0.0
    vz: float = 0.0
    facing: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.36
    """How far the view looks down."""
    health: float = 0.0
    charge: float = 0.0
    """Of the super ability, 0 to 1."""
    ready_at: list[int] = field(default_factory=lambda: [0] * 6)
    stun_until: int = 0
    guard_until: int = 0
    haste_until: int = 0
    rage_until: int = 0
    evade_until: int = 0
    dash_until: int = 0
    dash: Ability | None = None
    dash_hits: list[int] = field(default_factory=list)
    taunt_until: int = 0
    swing_at: int = -99
    """Tick of the last attack or ability, and which it was."""
    swing: int = 0
    mounted: bool = False
    mount_at: int = 0
    """Tick at which getting on the board is done; 0 while it is not begun."""
    fought_at: int = -999
    hurt_at: int = -99
    lock: int = -1
    dead_until: int = 0
    cells: int = 0
    pressed: int = 0
    kills: int = 0
    deaths: int = 0
    delivered: int = 0
    healed: float = 0.0
    damage: list[float] = field(default_factory=lambda: [0.0] * SEATS)
    """Damage done to each seat."""
    stride: float = 0.0
    """Meters walked, which moves the legs."""

    @property
    def alive(self) -> bool:
        return self.dead_until == 0

    @property
    def grounded(self) -> bool:
        return self.vz == 0.0

    def enemy_of(self, other: Fighter) -> bool:
        """Whether the other is of the other team."""
        return self.team != other.team

    def bearing(self, x: float, y: float) -> float:
        """The direction of a place as a yaw."""
        return math.atan2(x - self.x, y - self.y)


def wrapped(angle: float) -> float:
    """An angle in radians from -pi to pi."""
    return (angle + math.pi) % math.tau - math.pi

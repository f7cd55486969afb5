"""Sight: what a player knows of a match, in directions relative to the view; a bot's comes from the match's state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from games.brawl.combat import MOUNT_CALM_SECONDS
from games.brawl.fighter import EVADE, TEAM_SIZE, ticks, wrapped
from games.brawl.objectives import NOBODY
from games.brawl.state import MatchState


class Mark(NamedTuple):
    """A place: radians clockwise from ahead, and meters away."""

    bearing: float
    away: float


class PointMark(NamedTuple):
    """A capture point; its owner is 1 for ours, -1 for theirs, 0 for nobody."""

    bearing: float
    away: float
    owner: int


class Other(NamedTuple):
    """Another fighter."""

    ally: bool
    kind: str
    bearing: float
    away: float


@dataclass
class Sight:
    """What a player knows at one step. Health is from 0 to 1."""

    kind: str
    health: float
    cells: int
    """Cells that it carries."""
    ready: tuple[bool, ...]
    """Special abilities 1 to 3, super ability, dodge, mount."""
    mounted: bool
    locked: str
    """Class of the locked enemy, "" without a lock-on."""
    locked_health: float
    allies: tuple[tuple[str, float], ...]
    """Class and health of the other three."""
    others: list[Other] = field(default_factory=list)
    points: dict[str, PointMark] = field(default_factory=dict)
    loose: list[Mark] = field(default_factory=list)
    """Cells that nobody carries."""
    home: Mark | None = None
    is_free: Callable[[float, float], bool] = lambda bearing, away: True
    """Whether one can walk at a bearing and distance."""

    def enemies(self) -> list[Other]:
        """The enemies, the nearest first."""
        return sorted((o for o in self.others if not o.ally), key=lambda o: o.away)


def sight_of(match: MatchState, seat: int) -> Sight:
    """What the player of a seat can know."""
    f, now = match.fighters[seat], match.tick
    target = match.locked(f)
    first = f.team * TEAM_SIZE
    team = [g for g in match.fighters[first : first + TEAM_SIZE] if g is not f]

    def mark(x: float, y: float) -> Mark:
        dx, dy = x - f.x, y - f.y
        return Mark(wrapped(math.atan2(dx, dy) - f.yaw), math.hypot(dx, dy))

    def is_free(bearing: float, away: float) -> bool:
        angle = f.yaw + bearing
        x, y = f.x + math.sin(angle) * away, f.y + math.cos(angle) * away
        return not match.arena.is_blocked(x, y, 0.7)

    return Sight(
        kind=f.kind.name,
        health=f.health / f.kind.health if f.alive else 0.0,
        cells=f.cells,
        ready=(
            *(now >= f.ready_at[slot] for slot in (1, 2, 3)),
            f.charge >= 1,
            now >= f.ready_at[EVADE],
            now - f.fought_at > ticks(MOUNT_CALM_SECONDS),
        ),
        mounted=f.mounted or bool(f.mount_at),
        locked="" if target is None else target.kind.name,
        locked_health=0.0 if target is None else target.health / target.kind.health,
        allies=tuple((g.kind.name, g.health / g.kind.health if g.alive else 0.0) for g in team),
        others=[
            Other(g.team == f.team, g.kind.name, *mark(g.x, g.y))
            for g in match.fighters
            if g is not f and g.alive
        ],
        points={
            letter: PointMark(*mark(p.x, p.y), _side(p.owner, f.team))
            for letter, p in zip("ABC", match.objectives.points, strict=True)
        },
        loose=[
            mark(c.x, c.y)
            for c in match.objectives.cells
            if c.carrier == NOBODY and now >= c.away_until
        ],
        home=mark(*match.arena.bases[f.team]),
        is_free=is_free,
    )


def _side(owner: int, team: int) -> int:
    return 0 if owner == NOBODY else 1 if owner == team else -1

"""Screen reader: what a player knows, read off the pixels of a frame alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from games.brawl import palette as p
from games.brawl.sight import Mark, Other, PointMark, Sight
from games.env import Frame

_SCALE = p.MAP_RADIUS / p.MAP_METERS
_ASIDE = 0.6
"""Half the width in meters of the way that has to be free."""


def _code(color: p.Color) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


_ENEMY_CORES = {_code(color): kind for (ally, kind), color in p.CORE.items() if not ally}
_ALLY_CORES = {_code(color): kind for (ally, kind), color in p.CORE.items() if ally}
_OWNERS = {_code(p.ALLY): 1, _code(p.ENEMY): -1, _code(p.NEUTRAL): 0}
_Y, _X = np.mgrid[-p.MAP_RADIUS : p.MAP_RADIUS + 1, -p.MAP_RADIUS : p.MAP_RADIUS + 1]
_INSIDE = np.hypot(_X, _Y) <= p.MAP_RADIUS
_BLOCKED = (_code(p.MAP_BLOCK), _code(p.MAP_OUT))


def read(frame: Frame) -> Sight:
    """What the picture of a fighter shows; raises nothing, and leaves out what is hidden or not there."""
    packed = frame.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    radius = p.MAP_RADIUS
    chart = packed[p.MAP_Y - radius : p.MAP_Y + radius + 1, p.MAP_X - radius : p.MAP_X + radius + 1]
    chart = np.where(_INSIDE, chart, -1)
    borders = [int(packed[p.SLOTS_Y, p.SLOTS_X + (p.SLOT + p.SLOT_GAP) * i]) for i in range(6)]
    ready = _code(p.SLOT_READY)
    locked = _ENEMY_CORES.get(int(packed[p.TARGET_Y, p.TARGET_X - 8]), "")
    target = packed[p.TARGET_Y, p.TARGET_X : p.TARGET_X + p.TARGET_WIDTH]
    homes = _marks(chart, p.HOME_CORE)
    return Sight(
        kind=_ALLY_CORES.get(int(packed[p.BADGE_Y, p.BADGE_X]), "tank"),
        health=_filled(packed[p.HEALTH_Y, p.HEALTH_X : p.HEALTH_X + p.HEALTH_WIDTH]),
        cells=_carried(packed),
        ready=tuple(border == ready for border in borders),
        mounted=borders[5] == _code(p.SLOT_ACTIVE),
        locked=locked,
        locked_health=float((target == _code(p.ENEMY)).mean()) if locked else 0.0,
        allies=_allies(packed),
        others=[
            Other(ally, kind, mark.bearing, mark.away)
            for (ally, kind), core in p.CORE.items()
            for mark in _marks(chart, core)
        ],
        points={letter: mark for letter in p.PLATE if (mark := _point(packed, chart, letter))},
        loose=_marks(chart, p.CELL_CORE),
        home=homes[0] if homes else None,
        is_free=_walkable(chart),
    )


def _filled(row: NDArray[np.int32]) -> float:
    """The filled share of a bar."""
    fills = (_code(p.HEALTH_FILL), _code(p.HEALTH_LOW))
    return float(((row == fills[0]) | (row == fills[1])).mean())


def _carried(packed: NDArray[np.int32]) -> int:
    places = [p.CARRIED_X + p.CARRIED_GAP * i for i in range(3)]
    return sum(int(packed[p.CARRIED_Y, x]) == _code(p.CELL_CORE) for x in places)


def _allies(packed: NDArray[np.int32]) -> tuple[tuple[str, float], ...]:
    allies = []
    for i in range(3):
        y = p.ALLIES_Y + p.ALLIES_GAP * i
        kind = _ALLY_CORES.get(int(packed[y, p.ALLIES_X - 8]), "tank")
        allies.append((kind, _filled(packed[y, p.ALLIES_X : p.ALLIES_X + p.ALLIES_WIDTH])))
    return tuple(allies)


def _mark(column: float, row: float) -> Mark:
    """A place on the minimap, from its middle."""
    right, ahead = column - p.MAP_RADIUS, p.MAP_RADIUS - row
    return Mark(math.atan2(right, ahead), math.hypot(right, ahead) / _SCALE)


def _marks(chart: NDArray[np.int32], core: p.Color) -> list[Mark]:
    rows, columns = np.nonzero(chart == _code(core))
    return [_mark(x, y) for x, y in zip(columns.tolist(), rows.tolist(), strict=True)]


def _point(packed: NDArray[np.int32], chart: NDArray[np.int32], letter: str) -> PointMark | None:
    """A point by its mark on the minimap; below the score are its owner, and whether one stands on it."""
    x = p.FLAGS_X + p.FLAG_GAP * "ABC".index(letter)
    owner = _OWNERS.get(int(packed[p.FLAGS_Y, x]), 0)
    if marks := _marks(chart, p.PLATE_CORE[letter]):
        return PointMark(*marks[0], owner)
    if int(packed[p.STAND_Y, x]) == _code(p.WHITE):  # a fighter hides the mark
        return PointMark(0.0, 1.0, owner)
    return None


def _walkable(chart: NDArray[np.int32]) -> Callable[[float, float], bool]:
    middle, size = p.MAP_RADIUS, len(chart)

    def is_free(bearing: float, away: float) -> bool:
        sin, cos = math.sin(bearing), math.cos(bearing)
        for aside in (-_ASIDE, 0.0, _ASIDE):
            column = middle + round((sin * away + cos * aside) * _SCALE)
            row = middle - round((cos * away - sin * aside) * _SCALE)
            if 0 <= column < size and 0 <= row < size and int(chart[row, column]) in _BLOCKED:
                return False
        return True

    return is_free

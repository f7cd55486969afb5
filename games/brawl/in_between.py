"""In-between pictures: what a person is shown between two steps, where everything was a part of a step ago."""

from __future__ import annotations

import math
from typing import NamedTuple

from games.brawl.fighter import Fighter, wrapped
from games.brawl.movement import DT
from games.brawl.objectives import NOBODY
from games.brawl.picture import draw
from games.brawl.state import MatchState
from games.env import Frame

_LEAP = 4.0
"""Meters in a step beyond which a fighter was put elsewhere: it is not shown on the way."""


class _Place(NamedTuple):
    x: float
    y: float
    z: float
    pitch: float
    stride: float
    yaw: float
    facing: float


class Snapshot(NamedTuple):
    """Where the fighters were at a tick."""

    tick: int
    places: tuple[_Place, ...]


def snapshot(match: MatchState) -> Snapshot:
    """Where the fighters are now."""
    return Snapshot(match.tick, tuple(_place(f) for f in match.fighters))


def draw_between(
    before: Snapshot, match: MatchState, seat: int, share: float, detail: int
) -> Frame:
    """The picture of a seat at a `share` of the way (0 to 1) from `before` to now; the match stays as it is."""
    now, events = snapshot(match), match.events
    back = (1 - share) * (now.tick - before.tick) * DT
    carried = [cell for cell in match.objectives.cells if cell.carrier != NOBODY]
    saved_cells, saved_bolts = [(c.x, c.y) for c in carried], [(b.x, b.y) for b in match.bolts]
    match.tick = before.tick + math.ceil(share * (now.tick - before.tick))
    match.events = [event for event in events if event.tick <= match.tick]
    try:
        for f, one, other in zip(match.fighters, before.places, now.places, strict=True):
            _put(f, _blend(one, other, share))
        for cell in carried:
            cell.x, cell.y = match.fighters[cell.carrier].x, match.fighters[cell.carrier].y
        for bolt in match.bolts:
            bolt.x, bolt.y = bolt.x - bolt.vx * back, bolt.y - bolt.vy * back
        return draw(match, seat, detail)
    finally:
        match.tick, match.events = now.tick, events
        for f, place in zip(match.fighters, now.places, strict=True):
            _put(f, place)
        for cell, (x, y) in zip(carried, saved_cells, strict=True):
            cell.x, cell.y = x, y
        for bolt, (x, y) in zip(match.bolts, saved_bolts, strict=True):
            bolt.x, bolt.y = x, y


def _place(f: Fighter) -> _Place:
    return _Place(f.x, f.y, f.z, f.pitch, f.stride, f.yaw, f.facing)


def _put(f: Fighter, place: _Place) -> None:
    f.x, f.y, f.z, f.pitch, f.stride, f.yaw, f.facing = place


def _blend(one: _Place, other: _Place, share: float) -> _Place:
    if math.hypot(other.x - one.x, other.y - one.y) > _LEAP:
        return other
    straight = (a + (b - a) * share for a, b in zip(one[:5], other[:5], strict=True))
    turned = (a + wrapped(b - a) * share for a, b in zip(one[5:], other[5:], strict=True))
    return _Place(*straight, *turned)

"""Objectives: capture points, power cells and the score."""

from __future__ import annotations

import math
from dataclasses import dataclass

from games.brawl.arena import BASE_RADIUS, POINT_RADIUS, Arena
from games.brawl.events import Event
from games.brawl.fighter import TICK_HZ, Fighter, ticks

CAPTURE_SECONDS = 4.0
"""Seconds that one fighter needs from neutral to its own; two are half as fast again."""
POINT_TICKS = 3 * TICK_HZ
"""Ticks for which a point is held for one point of score."""
CELL_SCORE, KILL_SCORE = 4, 2
CELLS_CARRIED = 3
CELL_SECONDS = 14.0
"""Seconds until a cell that was brought home appears again."""
NOBODY = -1


@dataclass(slots=True)
class Point:
    """A capture point: `hold` is 1 where team 0 has taken it wholly, -1 where team 1 has."""

    x: float
    y: float
    hold: float = 0.0
    owner: int = NOBODY
    contested: bool = False
    ticks_held: int = 0


@dataclass(slots=True)
class Cell:
    """A power cell: on the ground, carried by a seat, or away until a tick."""

    x: float
    y: float
    home: tuple[float, float]
    carrier: int = NOBODY
    away_until: int = 0


class Objectives:
    """Points, cells and score of a match."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.points = [Point(x, y) for x, y in arena.points]
        self.cells = [Cell(x, y, (x, y)) for x, y in arena.cells]
        self.score = [0, 0]

    def advance(self, fighters: list[Fighter], now: int) -> list[Event]:
        """One tick."""
        events: list[Event] = []
        for number, point in enumerate(self.points):
            self._hold(point, number, fighters, now, events)
        for cell in self.cells:
            self._carry(cell, fighters, now, events)
        return events

    def drop(self, f: Fighter) -> None:
        """Put the cells of a fighter that fell on the ground."""
        for cell in self.cells:
            if cell.carrier == f.seat:
                cell.carrier, cell.x, cell.y = NOBODY, f.x, f.y
        f.cells = 0

    def _hold(
        self, point: Point, number: int, fighters: list[Fighter], now: int, events: list[Event]
    ) -> None:
        x, y, count = point.x, point.y, [0, 0]
        for f in fighters:
            if f.dead_until == 0 and not f.mounted:
                dx, dy = f.x - x, f.y - y
                if dx * dx + dy * dy < POINT_RADIUS * POINT_RADIUS:
                    count[f.team] += 1
        point.contested = bool(count[0] and count[1])
        if point.contested or not (count[0] or count[1]):
            pass
        else:
            team = 0 if count[0] else 1
            rate = (1 + 0.5 * (min(count[team], 3) - 1)) / (CAPTURE_SECONDS * TICK_HZ)
            was = point.hold
            point.hold = max(-1.0, min(1.0, was + (rate if team == 0 else -rate)))
            if point.owner == 1 - team and was * point.hold <= 0:
                point.owner, point.ticks_held = NOBODY, 0
            if point.owner != team and abs(point.hold) == 1.0:
                point.owner, point.ticks_held = team, 0
                events.append(Event("captured", now, x, y, 0.2, slot=number, amount=team))
        if point.owner != NOBODY:
            point.ticks_held += 1
            if point.ticks_held % POINT_TICKS == 0:
                self.score[point.owner] += 1

    def _carry(self, cell: Cell, fighters: list[Fighter], now: int, events: list[Event]) -> None:
        if cell.carrier != NOBODY:
            f = fighters[cell.carrier]
            cell.x, cell.y = f.x, f.y
            base_x, base_y = self.arena.bases[f.team]
            if math.hypot(f.x - base_x, f.y - base_y) < BASE_RADIUS:
                cell.carrier, (cell.x, cell.y) = NOBODY, cell.home
                cell.away_until = now + ticks(CELL_SECONDS)
                f.cells, f.delivered = f.cells - 1, f.delivered + 1
                self.score[f.team] += CELL_SCORE
                events.append(Event("delivered", now, f.x, f.y, 1.0, f.seat))
            return
        if now < cell.away_until:
            return
        for f in fighters:
            dx, dy = f.x - cell.x, f.y - cell.y
            if dx * dx + dy * dy < 1.7 and f.dead_until == 0 and f.cells < CELLS_CARRIED:
                cell.carrier, f.cells = f.seat, f.cells + 1
                events.append(Event("pickup", now, f.x, f.y, 1.0, f.seat))
                return

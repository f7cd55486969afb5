"""Minimap: the surroundings of a fighter from above, ahead is up; all it shows can be read by its colours."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import pygame
from numpy.typing import NDArray

from games.brawl.arena import DEPTH, WIDTH, arena
from games.brawl.fighter import Fighter
from games.brawl.glyphs import centered, icon, text
from games.brawl.objectives import NOBODY
from games.brawl.palette import (
    ALLY,
    AWAY_CORE,
    CELL,
    CELL_CORE,
    CORE,
    ENEMY,
    HOME_CORE,
    INK,
    KIND,
    MAP_BLOCK,
    MAP_EDGE,
    MAP_FLOOR,
    MAP_METERS,
    MAP_OUT,
    MAP_RADIUS,
    MAP_RIM,
    MAP_X,
    MAP_Y,
    NEUTRAL,
    PLATE,
    PLATE_CORE,
    WHITE,
    Color,
)
from games.brawl.state import MatchState
from games.env import Frame

SCALE = MAP_RADIUS / MAP_METERS
"""Pixels a meter."""
_FINE = 4
"""Pixels a meter of the map that is turned under it."""
_EDGE = 26.0
"""Meters of nothing around that map."""


@lru_cache(maxsize=8)
def _plan(number: int) -> Frame:
    """The whole arena from above, x to the right and y down."""
    size = round((DEPTH + 2 * _EDGE) * _FINE), round((WIDTH + 2 * _EDGE) * _FINE)
    plan = np.empty((*size, 3), np.uint8)
    plan[:] = MAP_OUT
    edge = round(_EDGE * _FINE)
    plan[edge : edge + round(DEPTH * _FINE), edge : edge + round(WIDTH * _FINE)] = MAP_FLOOR
    for b in arena(number).blocks:
        x, y = b.x + _EDGE, b.y + _EDGE
        rows = slice(round((y - b.half_y) * _FINE), round((y + b.half_y) * _FINE))
        columns = slice(round((x - b.half_x) * _FINE), round((x + b.half_x) * _FINE))
        plan[rows, columns] = MAP_BLOCK
    return plan


@lru_cache(maxsize=4)
def _mask(radius: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(np.hypot(x, y) <= radius, np.uint8)


@lru_cache(maxsize=4)
def _rim(radius: int, unit: int) -> pygame.Surface:
    """The ring around the map."""
    side = 2 * (radius + 3 * unit) + 1
    rim = pygame.Surface((side, side))
    rim.set_colorkey((0, 0, 0), pygame.RLEACCEL)  # black, which the ring is not, is clear
    middle = side // 2, side // 2
    pygame.draw.circle(rim, INK, middle, radius + 2 * unit, 2 * unit)
    pygame.draw.circle(rim, MAP_RIM, middle, radius + unit, unit)
    return rim


def draw_minimap(
    frame: Frame, surface: pygame.Surface, match: MatchState, f: Fighter, unit: int
) -> None:
    """Draw the map of a fighter's player at the top right; `unit` are the pixels of one of a frame's."""
    radius, middle_x, middle_y = MAP_RADIUS * unit, MAP_X * unit, MAP_Y * unit
    scale = SCALE * unit / _FINE
    sin, cos = math.sin(f.yaw) / scale, math.cos(f.yaw) / scale
    x, y = (f.x + _EDGE) * _FINE, (f.y + _EDGE) * _FINE
    turn = np.array([[cos, -sin, 0.0], [-sin, -cos, 0.0]])  # right and down to x and y
    turn[:, 2] = (x, y) - turn[:, :2] @ (radius, radius)
    side = 2 * radius + 1
    view = cv2.warpAffine(
        _plan(match.arena.number), turn, (side, side), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    area = frame[
        middle_y - radius : middle_y + radius + 1, middle_x - radius : middle_x + radius + 1
    ]
    cv2.copyTo(view, _mask(radius), area)
    rim = _rim(radius, unit)
    half = rim.get_width() // 2
    surface.blit(rim, (middle_x - half, middle_y - half))
    _Marks(surface, f, unit).draw(match)


class _Marks:
    """Draws what stands on the map of a fighter."""

    def __init__(self, surface: pygame.Surface, f: Fighter, unit: int) -> None:
        self.surface, self.f, self.unit = surface, f, unit
        self.sin, self.cos = math.sin(f.yaw), math.cos(f.yaw)

    def draw(self, match: MatchState) -> None:
        f, unit = self.f, self.unit
        cells = [
            self._spot(c.x, c.y)
            for c in match.objectives.cells
            if c.carrier == NOBODY and match.tick >= c.away_until
        ]
        others = [(g, self._spot(g.x, g.y)) for g in match.fighters if g is not f and g.alive]
        points = [
            (letter, point, self._spot(point.x, point.y))
            for letter, point in zip("ABC", match.objectives.points, strict=True)
        ]
        home, away = match.arena.bases[f.team], match.arena.bases[1 - f.team]
        self._put(_base(ENEMY, MAP_OUT, AWAY_CORE, unit), self._spot(*away))
        self._put(_base(ALLY, WHITE, HOME_CORE, unit), self._spot(*home))
        for letter, point, spot in points:
            owner = NEUTRAL if point.owner == NOBODY else ALLY if point.owner == f.team else ENEMY
            self._put(_sign(letter, owner, unit), spot)
        for spot in cells:
            self._put(_dot("damage", CELL, unit), spot)
        for g, spot in others:
            self._put(_dot(g.kind.name, KIND[g.team == f.team, g.kind.name], unit), spot)
        x, y = MAP_X * unit, MAP_Y * unit
        self.surface.fill(INK, (x - 2 * unit, y - 3 * unit, 5 * unit, 5 * unit))
        self.surface.fill(WHITE, (x, y - 2 * unit, unit, 3 * unit))
        self.surface.fill(WHITE, (x - unit, y, 3 * unit, unit))
        for spot in cells:
            self._put_core(CELL_CORE, spot)
        for letter, _, spot in points:
            self._put_core(PLATE_CORE[letter], spot)
        for g, spot in others:  # last, so that nothing hides what says who it is
            self._put_core(CORE[g.team == f.team, g.kind.name], spot)

    def _spot(self, x: float, y: float) -> tuple[int, int]:
        """The pixel of a place, or at the map's edge in its direction."""
        dx, dy = x - self.f.x, y - self.f.y
        right, ahead = dx * self.cos - dy * self.sin, dx * self.sin + dy * self.cos
        away = math.hypot(right, ahead) * SCALE
        scale = SCALE if away <= MAP_EDGE else SCALE * MAP_EDGE / away
        column, row = MAP_X + round(right * scale), MAP_Y - round(ahead * scale)
        return column * self.unit, row * self.unit

    def _put(self, sign: pygame.Surface, spot: tuple[int, int]) -> None:
        """Draw a sign, which has an odd number of units along each side, with its middle one at a spot."""
        half = sign.get_width() // self.unit // 2 * self.unit
        self.surface.blit(sign, (spot[0] - half, spot[1] - half))

    def _put_core(self, color: Color, spot: tuple[int, int]) -> None:
        """Colour the middle of a sign."""
        self.surface.fill(color, (*spot, self.unit, self.unit))


@lru_cache(maxsize=32)
def _sign(letter: str, owner: Color, unit: int) -> pygame.Surface:
    """A point: its letter on ground of the letter's colour, in a frame of its owner's colour."""
    sign = pygame.Surface((11 * unit, 11 * unit))
    sign.fill(INK)
    sign.fill(owner, (unit, unit, 9 * unit, 9 * unit))
    sign.fill(PLATE[letter], (2 * unit, 2 * unit, 7 * unit, 7 * unit))
    centered(sign, text(letter, INK, unit, None), 5.5 * unit, 5.5 * unit)
    return sign


@lru_cache(maxsize=32)
def _base(color: Color, wall: Color, core: Color, unit: int) -> pygame.Surface:
    """A base: a house, its roof in its team's colour."""
    base = pygame.Surface((9 * unit, 9 * unit), pygame.SRCALPHA)
    points = [(4, 0), (8, 4), (8, 8), (0, 8), (0, 4)]
    pygame.draw.polygon(base, color, [(x * unit, y * unit) for x, y in points])
    base.fill(wall, (2 * unit, 3 * unit, 5 * unit, 5 * unit))
    base.fill(core, (4 * unit, 4 * unit, unit, unit))
    return base


@lru_cache(maxsize=32)
def _dot(name: str, color: Color, unit: int) -> pygame.Surface:
    """A fighter or a cell: its shape in its colour, with a dark rim."""
    dot = pygame.Surface((9 * unit, 9 * unit), pygame.SRCALPHA)
    shape = f"large {name}"
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        centered(dot, icon(shape, INK, unit), (4.5 + dx) * unit, (4.5 + dy) * unit)
    centered(dot, icon(shape, color, unit), 4.5 * unit, 4.5 * unit)
    return dot

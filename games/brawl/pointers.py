"""Pointers: what only people are shown, who do not read the minimap all the time: enemies out of view, and harm."""

from __future__ import annotations

import math
from functools import lru_cache

import pygame

from games.brawl.camera import NEAR, Camera
from games.brawl.fighter import Fighter, wrapped
from games.brawl.palette import ENEMY, INK, RED
from games.brawl.state import MatchState

_REACH = 14.0
"""Meters within which an enemy out of view is pointed at."""
_HARM_TICKS = 6


def draw_pointers(surface: pygame.Surface, match: MatchState, camera: Camera, f: Fighter) -> None:
    """Arrows towards enemies near by that are out of view, and a red edge while a blow is felt."""
    unit = camera.height / 180
    if f.alive and 0 <= match.tick - f.hurt_at < _HARM_TICKS:
        surface.blit(_harm(*surface.get_size()), (0, 0))
    for g in match.fighters:
        away = math.hypot(g.x - f.x, g.y - f.y)
        if not (f.alive and g.alive and g.enemy_of(f) and away < _REACH):
            continue
        column, _, depth = camera.project(g.x, g.y, g.z + 1)
        if depth < NEAR or not 0 < column < camera.width:
            _arrow(surface, wrapped(f.bearing(g.x, g.y) - f.yaw), unit, 9 - 0.3 * away)


def _arrow(surface: pygame.Surface, bearing: float, unit: float, size: float) -> None:
    """An arrow on a ring around the middle of the picture; a bearing of 0 is up."""
    sin, cos = math.sin(bearing), math.cos(bearing)

    def spot(ahead: float, aside: float) -> tuple[float, float]:
        x, y = sin * ahead + cos * aside, -cos * ahead + sin * aside
        return surface.get_width() / 2 + x * unit, surface.get_height() / 2 + y * unit

    near = 62.0
    points = [spot(near + size, 0), spot(near, 0.6 * size), spot(near, -0.6 * size)]
    pygame.draw.polygon(surface, ENEMY, points)
    pygame.draw.polygon(surface, INK, points, max(1, round(unit)))


@lru_cache(maxsize=4)
def _harm(width: int, height: int) -> pygame.Surface:
    layer = pygame.Surface((width, height), pygame.SRCALPHA)
    step = max(1, height // 120)
    for i in range(8):
        area = pygame.Rect(0, 0, width, height).inflate(-2 * step * i, -2 * step * i)
        pygame.draw.rect(layer, (*RED, 130 - 16 * i), area, step)
    return layer

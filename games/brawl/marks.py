"""Marks on the ground: soft shapes in perspective, such as points, fields, shadows and shock waves."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pygame
import pygame.gfxdraw

from games.brawl.camera import NEAR, Camera
from games.brawl.palette import Color

_CORNERS = 20
_ANGLES = np.arange(_CORNERS) * math.tau / _CORNERS
_CIRCLE = np.stack([np.sin(_ANGLES), np.cos(_ANGLES)])
"""East and north of the corners of a circle, clockwise from the north."""


def ring(
    surface: pygame.Surface,
    camera: Camera,
    x: float,
    y: float,
    radius: float,
    color: Color,
    width: int,
    share: float = 1.0,
) -> None:
    """A circle on the ground, or the first `share` of it, clockwise from the north."""
    points = circle(camera, x, y, radius) if share > 0 else None
    if points is None:
        return
    if share >= 1:
        pygame.draw.polygon(surface, color, points, width)
    else:
        count = max(2, round(share * _CORNERS) + 1)
        pygame.draw.lines(surface, color, False, (points + points[:1])[:count], width)


def disc(
    surface: pygame.Surface,
    camera: Camera,
    x: float,
    y: float,
    radius: float,
    color: Color,
    alpha: int,
) -> None:
    """A translucent disc on the ground."""
    points = circle(camera, x, y, radius)
    if points is not None and alpha > 0:
        blend(surface, points, color, alpha)


def circle(
    camera: Camera, x: float, y: float, radius: float, z: float = 0.03
) -> list[tuple[float, float]] | None:
    """The corners of a circle on the picture; None where it is not wholly before the camera, or out of view."""
    matrix = camera.matrix
    middle = matrix @ (x, y, z, 1.0)
    if middle[2] < NEAR - radius:
        return None
    corners = matrix[:, :2] @ (_CIRCLE * radius) + middle[:, None]
    if min(corners[2].tolist()) < NEAR:
        return None
    columns, rows = (corners[:2] / corners[2]).tolist()
    if max(columns) < 0 or min(columns) > camera.width:
        return None
    return list(zip(columns, rows, strict=True))


def blend(
    surface: pygame.Surface, points: list[tuple[float, float]], color: Color, alpha: int
) -> None:
    """A translucent polygon."""
    pygame.gfxdraw.filled_polygon(surface, points, (*color, alpha))


@lru_cache(maxsize=2048)
def shadow(width: int, height: int) -> pygame.Surface:
    """A soft dark ellipse."""
    layer = pygame.Surface((width, height), pygame.SRCALPHA)
    for step, alpha in ((1.0, 50), (0.75, 90)):
        area = pygame.Rect(0, 0, max(2, round(width * step)), max(1, round(height * step)))
        area.center = width // 2, height // 2
        pygame.draw.ellipse(layer, (0, 0, 8, alpha), area)
    return layer


@lru_cache(maxsize=2048)
def glow(radius: int, color: Color, strength: int = 150) -> pygame.Surface:
    """A soft ball of light, to be added."""
    layer = pygame.Surface((2 * radius, 2 * radius))
    for r in range(radius, 0, -max(1, radius // 6)):
        share = (1 - r / (radius + 1)) ** 1.5 * strength / 255
        pygame.draw.circle(layer, [int(c * share) for c in color], (radius, radius), r)
    return layer


@lru_cache(maxsize=2048)
def beam(width: int, height: int, color: Color) -> pygame.Surface:
    """A column of light that fades upwards, to be added."""
    shares = [0.42 * ((row + 1) / height) ** 1.5 for row in range(height)]
    inset = width // 4
    pixels = np.empty((width, height, 3), np.uint8)
    pixels[:] = [[int(c * share * 0.5) for c in color] for share in shares]
    pixels[inset : max(inset + 1, width - inset)] = [[int(c * s) for c in color] for s in shares]
    layer = pygame.Surface((width, height))
    pygame.surfarray.blit_array(layer, pixels)
    return layer

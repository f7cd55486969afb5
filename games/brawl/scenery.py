"""Scenery: the blocks of an arena in perspective, sorted by depth with whatever else stands in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pygame
from numpy.typing import NDArray

from games.brawl.arena import DEPTH, LOW, WIDTH, Arena, Block, arena
from games.brawl.camera import NEAR, Camera
from games.brawl.themes import Color, Theme

Drawing = tuple[float, Callable[[], None]]
"""Depth, and what draws it."""
_FACES = ((0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))
"""Corners of the faces to the south, east, north and west."""
_SHADES = (0.72, 0.6, 0.8, 0.9)
_STUMP = 0.45
"""Height to which a block is cut that hides the player's fighter."""
_FENCE, _FENCE_HEIGHT = 9.2, 0.7
_PLAIN = 24.0
"""Meters beyond which edges are not drawn."""
_HAZES = 16


@dataclass(frozen=True)
class _Boxes:
    """Blocks and pieces of the fence of an arena, in one order."""

    blocks: tuple[Block, ...]
    whole: NDArray[np.float64]
    """Their corners (n, 8, 4) with a 1 each."""
    cut: NDArray[np.float64]
    """The same of stumps."""
    colors: tuple[Color, ...]
    fences: tuple[bool, ...]


@lru_cache(maxsize=8)
def _boxes(number: int) -> _Boxes:
    place = arena(number)
    blocks = (*(piece for b in place.blocks for piece in _pieces(b)), *_fence())
    theme, fences = place.theme, tuple(is_fence(b) for b in blocks)
    return _Boxes(
        blocks,
        np.array([_corners(b, b.height) for b in blocks]),
        np.array([_corners(b, min(b.height, _STUMP)) for b in blocks]),
        tuple(
            theme.line if fence else theme.crate if b.height <= LOW else theme.block
            for b, fence in zip(blocks, fences, strict=True)
        ),
        fences,
    )


def _corners(b: Block, height: float) -> list[tuple[float, float, float, float]]:
    west, east, south, north = b.x - b.half_x, b.x + b.half_x, b.y - b.half_y, b.y + b.half_y
    square = ((west, south), (east, south), (east, north), (west, north))
    return [(x, y, z, 1.0) for z in (0.0, height) for x, y in square]


def _pieces(b: Block) -> list[Block]:
    """A long block in pieces, so that each is sorted by its own depth."""
    along_x = b.half_x > b.half_y
    count = max(1, round(max(b.half_x, b.half_y) / 1.1))
    half = max(b.half_x, b.half_y) / count
    pieces = []
    for i in range(count):
        off = (2 * i + 1 - count) * half
        x, y = (b.x + off, b.y) if along_x else (b.x, b.y + off)
        sizes = (half, b.half_y) if along_x else (b.half_x, half)
        pieces.append(Block(x, y, *sizes, b.height))
    return pieces


def _fence() -> list[Block]:
    """Pieces of the low wall around the arena."""
    pieces = []
    for length, across, is_level in ((WIDTH, DEPTH, True), (DEPTH, WIDTH, False)):
        count = round(length / _FENCE)
        half = length / count / 2
        for i in range(count):
            along = (2 * i + 1) * half
            for side in (-0.3, across + 0.3):
                x, y = (along, side) if is_level else (side, along)
                sizes = (half, 0.3) if is_level else (0.3, half)
                pieces.append(Block(x, y, *sizes, _FENCE_HEIGHT))
    return pieces


def block_drawings(
    surface: pygame.Surface, place: Arena, camera: Camera, hero: tuple[float, float]
) -> list[Drawing]:
    """What draws each block in view; blocks between the camera and the hero's place are cut down."""
    boxes, matrix = _boxes(place.number), camera.matrix
    corners = boxes.whole @ matrix.T
    depth = corners[..., 2]
    middle = depth.mean(1)
    columns = corners[..., 0] / np.maximum(depth, NEAR)
    seen = (depth.max(1) > NEAR) & (columns.max(1) > 0) & (columns.min(1) < camera.width)
    drawings: list[Drawing] = []
    hero_depth = camera.project(*hero, 0.0)[2]
    numbers = np.flatnonzero(seen)
    listed = zip(numbers.tolist(), middle[numbers].tolist(), corners[numbers].tolist(), strict=True)
    for i, away, shape in listed:
        b, fence = boxes.blocks[i], boxes.fences[i]
        hides = away < hero_depth - 0.2 and b.height > LOW and _is_between(b, camera, hero)
        points = (boxes.cut[i] @ matrix.T).tolist() if hides else shape
        key = away + (900 if _is_beyond(b, camera) else -900) * fence
        tints = boxes.colors[i], place.theme, hides
        drawings.append((key, partial(_draw, surface, b, points, camera, tints)))
    return drawings


def is_fence(b: Block) -> bool:
    """Whether it is a piece of the low wall around the arena."""
    return not (0 < b.x < WIDTH and 0 < b.y < DEPTH)


def _is_beyond(b: Block, camera: Camera) -> bool:
    """Whether the camera is on the arena's side of a piece of the fence."""
    if 0 < b.y < DEPTH:
        return camera.x > b.x if b.x < 0 else camera.x < b.x
    return camera.y > b.y if b.y < 0 else camera.y < b.y


def _is_between(b: Block, camera: Camera, hero: tuple[float, float]) -> bool:
    """Whether the block lies near the line from the camera to the hero."""
    dx, dy = hero[0] - camera.x, hero[1] - camera.y
    length = math.hypot(dx, dy)
    aside = abs((b.x - camera.x) * dy - (b.y - camera.y) * dx) / max(length, 1e-6)
    reach = (b.half_x * abs(dy) + b.half_y * abs(dx)) / max(length, 1e-6)
    return aside < reach + 1.1


def _draw(
    surface: pygame.Surface,
    b: Block,
    corners: list[list[float]],
    camera: Camera,
    tinting: tuple[Color, Theme, bool],
) -> None:
    depths = [p[2] for p in corners]
    far = sum(depths) / 8
    haze = max(0, min(_HAZES - 1, int((far - 14) / 34 * _HAZES)))
    shades, top, edge = _tints(*tinting, haze)
    if far > _PLAIN:
        edge = None
    shown = (
        camera.y < b.y - b.half_y,
        camera.x > b.x + b.half_x,
        camera.y > b.y + b.half_y,
        camera.x < b.x - b.half_x,
    )
    faces = [(*face, shade) for face, shade, s in zip(_FACES, shades, shown, strict=True) if s]
    if min(depths) < NEAR:
        for i, j, k, m, shade in faces:
            _clipped_face(surface, [corners[i], corners[j], corners[k], corners[m]], shade, edge)
        _clipped_face(surface, corners[4:], top, edge)
        return
    spots = [(x / z, y / z) for x, y, z in corners]
    polygon = pygame.draw.polygon
    for i, j, k, m, shade in faces:
        spot = (spots[i], spots[j], spots[k], spots[m])
        polygon(surface, shade, spot)
        if edge is not None:
            polygon(surface, edge, spot, 1)
    polygon(surface, top, spots[4:])
    if edge is not None:
        polygon(surface, edge, spots[4:], 1)


@lru_cache(maxsize=2048)
def _tints(
    color: Color, theme: Theme, is_cut: bool, haze: int
) -> tuple[tuple[Color, ...], Color, Color | None]:
    """Colours of the four faces, of the top and of the edges in the theme's haze."""
    faces = tuple(_tinted(color, shade, theme, haze) for shade in _SHADES)
    top = _tinted(color, 1.22 if not is_cut else 0.5, theme, haze)
    return faces, top, _tinted(color, 0.42, theme, haze)


def _tinted(color: Color, shade: float, theme: Theme, haze: int) -> Color:
    """A colour in a shade, with some of the theme's haze."""
    share = 0.75 * haze / _HAZES
    r, g, b = (
        min(255, int(c * shade * (1 - share) + far * share))
        for c, far in zip(color, theme.sky_low, strict=True)
    )
    return r, g, b


def _clipped_face(
    surface: pygame.Surface, corners: list[list[float]], color: Color, edge: Color | None
) -> None:
    corners = _clipped(corners)
    if len(corners) >= 3:
        polygon = [(p[0] / p[2], p[1] / p[2]) for p in corners]
        pygame.draw.polygon(surface, color, polygon)
        if edge is not None:
            pygame.draw.polygon(surface, edge, polygon, 1)


def _clipped(corners: list[list[float]]) -> list[list[float]]:
    """The part of a polygon before the near plane."""
    kept = []
    for p, q in zip(corners, corners[1:] + corners[:1], strict=True):
        if p[2] >= NEAR:
            kept.append(p)
        if (p[2] >= NEAR) != (q[2] >= NEAR):
            t = (NEAR - p[2]) / (q[2] - p[2])
            kept.append([a + t * (b - a) for a, b in zip(p, q, strict=True)])
    return kept

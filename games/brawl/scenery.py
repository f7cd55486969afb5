"""Scenery: the blocks of an arena in perspective, sorted by depth with whatever else stands in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

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
_SHOWN = tuple(tuple(i for i in range(4) if sides >> i & 1) for sides in range(16))
"""The faces in view by the sides on which the camera is, bit i for face i."""
_SHADES = (0.72, 0.6, 0.8, 0.9)
_TOP, _STUMP_TOP, _EDGE = 1.22, 0.5, 0.42
_STUMP = 0.45
"""Height to which a block is cut that hides the player's fighter."""
_FENCE, _FENCE_HEIGHT = 9.2, 0.7
_PLAIN = 24.0
"""Meters beyond which edges are not drawn."""
_HAZES = 16


class _Paint(NamedTuple):
    """Colours of a block in some haze."""

    faces: tuple[Color, ...]
    top: Color
    edge: Color


class _Box(NamedTuple):
    """A block or a piece of the fence."""

    block: Block
    is_fence: bool
    paints: tuple[_Paint, ...]
    """Its colours by haze."""
    stump: NDArray[np.float64]
    """Corners (4, 8) of its stump, with a 1 each."""
    stump_paints: tuple[_Paint, ...]


class _Boxes(NamedTuple):
    """All that stands in an arena, in one order."""

    boxes: tuple[_Box, ...]
    corners: NDArray[np.float64]
    """Corners (4, 8, n), with a 1 each."""
    walls: NDArray[np.float64]
    """Where (4, n) the faces to the south, east, north and west are."""


@lru_cache(maxsize=8)
def _boxes(number: int) -> _Boxes:
    place = arena(number)
    blocks = (*(piece for b in place.blocks for piece in _pieces(b)), *_fence())
    walls = [(b.y - b.half_y, b.x + b.half_x, b.y + b.half_y, b.x - b.half_x) for b in blocks]
    return _Boxes(
        tuple(_box(b, place.theme) for b in blocks),
        np.stack([_corners(b, b.height) for b in blocks], axis=-1),
        np.array(walls).T,
    )


def _box(b: Block, theme: Theme) -> _Box:
    fence = is_fence(b)
    color = theme.line if fence else theme.crate if b.height <= LOW else theme.block
    paints = _paints(color, _TOP, theme), _paints(color, _STUMP_TOP, theme)
    return _Box(b, fence, paints[0], _corners(b, min(b.height, _STUMP)), paints[1])


def _corners(b: Block, height: float) -> NDArray[np.float64]:
    west, east, south, north = b.x - b.half_x, b.x + b.half_x, b.y - b.half_y, b.y + b.half_y
    square = ((west, south), (east, south), (east, north), (west, north))
    return np.array([(x, y, z, 1.0) for z in (0.0, height) for x, y in square]).T


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
    corners = (matrix @ boxes.corners.reshape(4, -1)).reshape(3, *boxes.corners.shape[1:])
    away, is_clipped, spots = _projected(corners)
    (left, top), (right, bottom) = spots.min(1), spots.max(1)
    seen = (corners[2].max(0) > NEAR) & (right > 0) & (left < camera.width)
    seen &= is_clipped | ((bottom > 0) & (top < camera.height))
    south, east, north, west = boxes.walls
    x, y = camera.x, camera.y
    sides = (y < south) + 2 * (x > east) + 4 * (y > north) + 8 * (x < west)
    numbers, hero_depth = np.flatnonzero(seen), camera.project(*hero, 0.0)[2]
    listed = (values.T[numbers].tolist() for values in (away, is_clipped, sides, spots))
    drawings: list[Drawing] = []
    for i, depth, clipped, shown, shape in zip(numbers.tolist(), *listed, strict=True):
        box, key = boxes.boxes[i], depth
        b = box.block
        if box.is_fence:
            key += 900 if _is_beyond(b, camera) else -900
        if depth < hero_depth - 0.2 and b.height > LOW and _is_between(b, camera, hero):
            stump = matrix @ box.stump
            view = stump, *(values.T.tolist() for values in _projected(stump)), box.stump_paints
        else:
            view = corners[..., i], depth, clipped, shape, box.paints
        drawings.append((key, _drawer(surface, _SHOWN[shown], *view)))
    return drawings


def _projected(
    corners: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Of corners (3, 8, ...): mean depth, whether the near plane cuts them, columns and rows (2, 8, ...)."""
    depth = corners[2]
    pairs = depth[::2] + depth[1::2]
    middle = ((pairs[0] + pairs[1]) + (pairs[2] + pairs[3])) / 8
    return middle, depth.min(0) < NEAR, corners[:2] / np.maximum(depth, NEAR)


def _drawer(
    surface: pygame.Surface,
    faces: tuple[int, ...],
    corners: NDArray[np.float64],
    depth: float,
    clipped: bool,
    spots: list[list[float]],
    paints: tuple[_Paint, ...],
) -> Callable[[], None]:
    paint = paints[max(0, min(_HAZES - 1, int((depth - 14) / 34 * _HAZES)))]
    edge = paint.edge if depth <= _PLAIN else None
    if clipped:
        return partial(_draw_clipped, surface, faces, corners.T.tolist(), paint, edge)
    return partial(_draw, surface, faces, spots, paint, edge)


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
    faces: tuple[int, ...],
    spots: list[list[float]],
    paint: _Paint,
    edge: Color | None,
) -> None:
    polygon = pygame.draw.polygon
    for face in faces:
        i, j, k, m = _FACES[face]
        spot = spots[i], spots[j], spots[k], spots[m]
        polygon(surface, paint.faces[face], spot)
        if edge is not None:
            polygon(surface, edge, spot, 1)
    polygon(surface, paint.top, spots[4:])
    if edge is not None:
        polygon(surface, edge, spots[4:], 1)


def _draw_clipped(
    surface: pygame.Surface,
    faces: tuple[int, ...],
    corners: list[list[float]],
    paint: _Paint,
    edge: Color | None,
) -> None:
    for face in faces:
        shape = [corners[corner] for corner in _FACES[face]]
        _clipped_face(surface, shape, paint.faces[face], edge)
    _clipped_face(surface, corners[4:], paint.top, edge)


@lru_cache(maxsize=64)
def _paints(color: Color, top: float, theme: Theme) -> tuple[_Paint, ...]:
    """A block's colours by haze; `top` is the light on its top."""
    return tuple(
        _Paint(
            tuple(_tinted(color, shade, theme, haze) for shade in _SHADES),
            _tinted(color, top, theme, haze),
            _tinted(color, _EDGE, theme, haze),
        )
        for haze in range(_HAZES)
    )


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

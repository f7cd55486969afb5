"""Figures: the fighters' bodies as ellipsoids, drawn from every side in cartoon shades, and kept as sprites."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache

import cv2
import numpy as np
import pygame
from numpy.typing import NDArray

from games.brawl.bodies import BODIES, LIMBS, POSES, Part
from games.brawl.palette import ALLY, ENEMY, Color

SIDES = 16
"""Directions from which a body is drawn."""
TILT = 0.34
"""How far the view looks down on a body, in radians."""
WIDTH, HEIGHT, BELOW = 3.4, 3.4, 0.7
"""Meters of a sprite, and of it below the feet."""
PIXELS = 22
"""A sprite's pixels a meter, at a detail of 1."""
_AT_ONCE = 2
"""Sides that are drawn together; with more of them the arrays leave the processor's cache."""
_LIGHT = np.array([-0.45, 0.72, -0.53], np.float32)
_TONES = np.array([0.6, 0.8, 1.0, 1.22, 1.05, 1.3], np.float32)
"""Tones of what is lit, from the darkest, then those of what glows."""
_EDGES, _GLOW_EDGES = (-0.1, 0.42, 0.93), (0.5,)
"""Light above which the next tone begins."""
_FIRST_GLOW = 4
_CREASE = len(_TONES)
"""Added to the number of a tone in a crease, which is darker."""
_ALL_TONES = np.concatenate([_TONES, _TONES * np.float32(0.45)])
_INK = (18, 18, 26)
Bodies = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@lru_cache(maxsize=2048)
def sprite(name: str, ally: bool, side: int, pose: str, flash: bool) -> pygame.Surface:
    """A body of a class, turned by `side` of `SIDES` from the view's direction, at a detail of 1."""
    return _surface(_drawn(name, pose)[side][ally], flash)


@lru_cache(maxsize=256)
def fine_sprite(
    name: str, ally: bool, side: int, pose: str, detail: int, flash: bool
) -> pygame.Surface:
    """The same in a finer picture, which is a larger one: fewer are kept."""
    return _surface(_finely_drawn(name, side, pose, detail)[ally], flash)


def _surface(pixels: NDArray[np.uint8], flash: bool) -> pygame.Surface:
    if flash:
        pixels = pixels.copy()
        pixels[..., :3] = (pixels[..., :3] * 0.25 + 191).astype(np.uint8)
    surface = pygame.image.frombuffer(pixels.tobytes(), pixels.shape[1::-1], "RGBA")
    return surface.copy()


@cache
def fill_sprites() -> None:
    """Draw all bodies, once in a process: drawn in a match they would hold it up."""
    for name in BODIES:
        for pose in POSES:
            _drawn(name, pose)


def sprite_height(pixels: float, detail: int) -> int:
    """The nearest of the heights in which sprites are kept; they lie nearer to each other in finer pictures."""
    step = math.log(1.2 if detail == 1 else 1.08)
    return max(4, round(math.exp(step * round(math.log(max(pixels, 1.0)) / step))))


@lru_cache(maxsize=4096)
def scaled(name: str, ally: bool, side: int, pose: str, flash: bool, height: int) -> pygame.Surface:
    """The sprite at a height in pixels, at a detail of 1."""
    return _scaled(sprite(name, ally, side, pose, flash), height)


@lru_cache(maxsize=700)
def finely_scaled(
    name: str, ally: bool, side: int, pose: str, detail: int, flash: bool, height: int
) -> pygame.Surface:
    """The same in a finer picture."""
    return _scaled(fine_sprite(name, ally, side, pose, detail, flash), height)


def _scaled(source: pygame.Surface, height: int) -> pygame.Surface:
    return pygame.transform.smoothscale(source, (max(1, round(height * WIDTH / HEIGHT)), height))


@cache
def _drawn(name: str, pose: str) -> list[Bodies]:
    """A body at a detail of 1, by side."""
    few = (range(first, first + _AT_ONCE) for first in range(0, SIDES, _AT_ONCE))
    return [body for sides in few for body in _render(name, sides, pose, 1)]


@lru_cache(maxsize=128)
def _finely_drawn(name: str, side: int, pose: str, detail: int) -> Bodies:
    return _render(name, [side], pose, detail)[0]


def _render(name: str, sides: Sequence[int], pose: str, detail: int) -> list[Bodies]:
    """RGBA of a body from n sides, as an enemy and as an ally; drawn twice as fine where that is not fine anyhow."""
    finer = 2 if detail == 1 else 1
    fine = finer * PIXELS * detail
    shape = len(sides), round(HEIGHT * fine), round(WIDTH * fine)
    depth = np.full(shape, np.inf, np.float32)
    owner, tone = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    view = np.stack([_view(side * math.tau / SIDES) for side in sides])
    parts, axes, middles = _posed(name, pose)
    axes, middles = view[:, None] @ axes, middles @ view.transpose(0, 2, 1)
    inverse = np.linalg.inv(axes)
    forms = inverse.swapaxes(-1, -2) @ inverse
    reaches = np.sqrt((axes[:, :, :2] ** 2).sum(3)) * fine
    for i, part in enumerate(parts):
        _draw_part(
            i, part.glow, forms[:, i], middles[:, i], reaches[:, i], fine, depth, owner, tone
        )
    solid, line = np.isfinite(depth), max(1, finer * detail // 2)
    cross = np.ones((3, 3), np.uint8)
    rim = np.stack([cv2.dilate(one, cross, iterations=line) for one in solid.view(np.uint8)])
    tone += _creases(depth, solid, line) * np.uint8(_CREASE)
    paint = owner * np.int32(len(_ALL_TONES)) + tone  # numbers of the colours that `_paints` lists
    last = len(parts) * len(_ALL_TONES)
    paint[~solid] = last
    paint[solid.view(np.uint8) < rim] = last + 1
    teams = np.stack([np.take(_paints(name, pose, ally), paint) for ally in (False, True)])
    pixels = teams.view(np.uint8).reshape(*teams.shape, 4)
    return list(zip(*(_halved(pixels) if finer == 2 else pixels), strict=True))


@lru_cache(maxsize=512)
def _paints(name: str, pose: str, ally: bool) -> NDArray[np.uint32]:
    """RGBA as one number for each part in each tone, then for what is clear, then for the rim."""
    parts = _posed(name, pose)[0]
    palette = np.array([_color(part.color, ally) for part in parts], np.float32)
    color = np.minimum(palette[:, None] * _ALL_TONES[:, None], 255).reshape(-1, 3)
    paints = np.zeros((len(color) + 2, 4), np.uint8)
    paints[:-2, :3], paints[:-2, 3] = color, 255
    paints[-1] = (*_INK, 255)
    return paints.view(np.uint32)[:, 0]


def _halved(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA (..., rows, columns, 4) at half the size; clear pixels do not darken the rim."""
    *several, rows, columns, _ = pictures.shape
    rows, columns = rows // 2, columns // 2
    column = pictures.reshape(-1, 2 * columns, 4)  # one above the other
    size = columns, len(column) // 2
    small = np.asarray(cv2.resize(column, size, interpolation=cv2.INTER_AREA), np.uint8)
    flat = small.reshape(-1, 4)
    edges = np.flatnonzero((flat[:, 3] > 0) & (flat[:, 3] < 255))
    colors = flat[edges]
    alpha = colors[:, 3:].astype(np.float32) / 255
    colors[:, :3] = np.minimum(colors[:, :3] / alpha, 255)
    flat[edges] = colors
    return flat.reshape(*several, rows, columns, 4)


def _creases(
    depth: NDArray[np.float32], solid: NDArray[np.bool_], detail: int
) -> NDArray[np.bool_]:
    """Pixels behind which the depth jumps: lines between parts."""
    flat = np.where(solid, depth, np.float32(0))
    step = np.zeros_like(flat)
    np.abs(flat[..., detail:] - flat[..., :-detail], out=step[..., detail:])
    below = np.abs(flat[:, detail:] - flat[:, :-detail])
    np.maximum(step[:, detail:], below, out=step[:, detail:])
    lines: NDArray[np.bool_] = (step > 0.28) & solid
    return lines


def _view(angle: float) -> NDArray[np.float64]:
    """From a body's right, front and up to the picture's right, up and depth."""
    sin, cos, down, level = math.sin(angle), math.cos(angle), math.sin(TILT), math.cos(TILT)
    return np.array(
        [
            [cos, sin, 0],
            [-sin * down, cos * down, level],
            [-sin * level, cos * level, -down],
        ]
    )


def _draw_part(
    number: int,
    glow: bool,
    form: NDArray[np.float64],
    middle: NDArray[np.float64],
    reach: NDArray[np.float64],
    fine: int,
    depth: NDArray[np.float32],
    owner: NDArray[np.uint8],
    tone: NDArray[np.uint8],
) -> None:
    """Draw an ellipsoid q' F q = 1 from n sides, given F (n, 3, 3), its middle (n, 3), and its reach (n, 2) in pixels.

    Each pixel's ray (u, v) meets it at the nearer root d of a quadratic.
    """
    rows, columns = depth.shape[1:]
    x, y = columns / 2 + middle[:, 0] * fine, rows - (BELOW + middle[:, 1]) * fine
    wide, high = reach.T
    x0, x1 = max(0, int((x - wide).min())), min(columns, int((x + wide).max()) + 2)
    y0, y1 = max(0, int((y - high).min())), min(rows, int((y + high).max()) + 2)
    if x0 >= x1 or y0 >= y1:
        return
    (f00, f01, f02), (_, f11, f12), (_, _, f22) = form.transpose(1, 2, 0)[..., None, None].astype(
        np.float32
    )
    u = ((np.arange(x0, x1) + 0.5 - x[:, None]) / fine).astype(np.float32)[:, None]
    v = ((y[:, None] - 0.5 - np.arange(y0, y1)) / fine).astype(np.float32)[..., None]
    b = f02 * u + f12 * v
    p, q = f00 * u + f01 * v, f01 * u + f11 * v
    root = b * b - f22 * (p * u + q * v - 1)
    d = (-b - np.sqrt(np.maximum(root, 0))) / f22
    n0, n1, n2 = p + f02 * d, q + f12 * d, b + f22 * d
    light = _LIGHT[0] * n0 + _LIGHT[1] * n1 + _LIGHT[2] * n2
    light /= np.sqrt(n0 * n0 + n1 * n1 + n2 * n2) + 1e-6
    shade = np.full(d.shape, _FIRST_GLOW if glow else 0, np.uint8)
    for edge in _GLOW_EDGES if glow else _EDGES:
        shade += light > np.float64(edge)
    area = slice(None), slice(y0, y1), slice(x0, x1)
    d += middle[:, 2, None, None].astype(np.float32)
    seen = (root > 0) & (d < depth[area])
    np.copyto(depth[area], d, where=seen)
    np.copyto(owner[area], np.uint8(number), where=seen)
    np.copyto(tone[area], shade, where=seen)


@lru_cache(maxsize=256)
def _posed(
    name: str, pose_name: str
) -> tuple[tuple[Part, ...], NDArray[np.float64], NDArray[np.float64]]:
    """The parts of a body in a pose, their axes (n, 3, 3) as columns, and middles (n, 3).

    A limb turns about its joint, then the whole body about its hips.
    """
    pose = POSES[pose_name]
    parts = tuple(part for part in BODIES[name] if part.limb not in pose.hidden)
    axes, middles = [], []
    for part in parts:
        swing = _about_x(pose.swing.get(part.limb, 0.0))
        joint = np.array(LIMBS.get(part.limb, (0.0, 0.0, 0.0)))
        turn = swing @ _about_z(part.twist)
        middle = swing @ (np.array(part.middle) - joint) + joint
        if part.limb != "board":
            hips, lean = np.array([0, 0, 0.9]), _about_x(pose.lean)
            turn = lean @ turn
            middle = lean @ (middle - hips) + hips + np.array([0, 0, pose.rise])
        axes.append(turn * np.array(part.radii))
        middles.append(middle)
    return parts, np.array(axes), np.array(middles)


def _about_x(angle: float) -> NDArray[np.float64]:
    """Positive swings what hangs down to the front."""
    sin, cos = math.sin(angle), math.cos(angle)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def _about_z(angle: float) -> NDArray[np.float64]:
    sin, cos = math.sin(angle), math.cos(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _color(color: Color | str, ally: bool) -> Color:
    """A part's colour; the team's where it has a name."""
    if not isinstance(color, str):
        return color
    team = ALLY if ally else ENEMY
    return team if color == "team" else _darker(team)


def _darker(color: Color) -> Color:
    return color[0] * 5 // 9, color[1] * 5 // 9, color[2] * 5 // 9

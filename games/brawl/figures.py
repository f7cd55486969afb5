"""Figures: the fighters' bodies as ellipsoids, drawn from every side in cartoon shades, and kept as sprites."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import pygame
from numpy.typing import NDArray

from games.brawl.bodies import BODIES, LIMBS, POSES, Part, Pose
from games.brawl.palette import ALLY, ENEMY, Color

SIDES = 16
"""Directions from which a body is drawn."""
TILT = 0.34
"""How far the view looks down on a body, in radians."""
WIDTH, HEIGHT, BELOW = 3.4, 3.4, 0.7
"""Meters of a sprite, and of it below the feet."""
PIXELS = 22
"""A sprite's pixels a meter, at a detail of 1."""
_LIGHT = np.array([-0.45, 0.72, -0.53])
_INK = (18, 18, 26)


@lru_cache(maxsize=6000)
def sprite(name: str, ally: bool, side: int, pose: str, detail: int, flash: bool) -> pygame.Surface:
    """A body of a class, turned by `side` of `SIDES` from the view's direction."""
    pixels = _render(name, ally, side, pose, detail)
    if flash:
        pixels = pixels.copy()
        pixels[..., :3] = (pixels[..., :3] * 0.25 + 191).astype(np.uint8)
    surface = pygame.image.frombuffer(pixels.tobytes(), pixels.shape[1::-1], "RGBA")
    return surface.copy()


@lru_cache(maxsize=6000)
def scaled(
    name: str, ally: bool, side: int, pose: str, detail: int, flash: bool, height: int
) -> pygame.Surface:
    """The sprite at a height in pixels."""
    source = sprite(name, ally, side, pose, detail, flash)
    return pygame.transform.smoothscale(source, (max(1, round(height * WIDTH / HEIGHT)), height))


def _render(name: str, ally: bool, side: int, pose: str, detail: int) -> NDArray[np.uint8]:
    """RGBA of a body, drawn twice as fine."""
    fine = 2 * PIXELS * detail
    rows, columns = round(HEIGHT * fine), round(WIDTH * fine)
    depth = np.full((rows, columns), np.inf, np.float32)
    color = np.zeros((rows, columns, 3), np.float32)
    view = _view(side * math.tau / SIDES)
    for part in BODIES[name]:
        _draw_part(part, POSES[pose], view, fine, _color(part.color, ally), depth, color)
    solid = np.isfinite(depth)
    rim = cv2.dilate(solid.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=detail) > 0
    inner = _creases(depth, solid, detail)
    color[inner] *= 0.45
    color[rim & ~solid] = _INK
    whole = np.zeros((rows, columns, 4), np.uint8)
    np.minimum(color, 255, out=color)
    whole[..., :3], whole[..., 3] = color, rim * np.uint8(255)  # no colour where it is clear
    small: NDArray[np.uint8] = cv2.resize(
        whole, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA
    ).astype(np.uint8)
    alpha = np.maximum(small[..., 3:], 1).astype(np.float32) / 255
    small[..., :3] = np.minimum(small[..., :3] / alpha, 255)
    return small


def _creases(
    depth: NDArray[np.float32], solid: NDArray[np.bool_], detail: int
) -> NDArray[np.bool_]:
    """Pixels behind which the depth jumps: lines between parts."""
    flat = np.where(solid, depth, 0)
    step = np.zeros_like(flat)
    step[:, detail:] = np.abs(flat[:, detail:] - flat[:, :-detail])
    step[detail:] = np.maximum(step[detail:], np.abs(flat[detail:] - flat[:-detail]))
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
    part: Part,
    pose: Pose,
    view: NDArray[np.float64],
    fine: int,
    shade: Color,
    depth: NDArray[np.float32],
    color: NDArray[np.float32],
) -> None:
    """Draw an ellipsoid: each pixel's ray meets it where |s| = 1, s its place in units of the radii."""
    if part.limb in pose.hidden:
        return
    turn, middle = _posed(part, pose)
    axes = view @ turn * np.array(part.radii)
    place = view @ middle
    reach = np.sqrt((axes[:2] ** 2).sum(1)) * fine
    rows, columns = depth.shape
    x, y = columns / 2 + place[0] * fine, rows - (BELOW + place[1]) * fine
    x0, x1 = max(0, int(x - reach[0])), min(columns, int(x + reach[0]) + 2)
    y0, y1 = max(0, int(y - reach[1])), min(rows, int(y + reach[1]) + 2)
    if x0 >= x1 or y0 >= y1:
        return
    inverse = np.linalg.inv(axes)
    u = (np.arange(x0, x1) + 0.5 - x) / fine
    v = (y - (np.arange(y0, y1) + 0.5)) / fine
    s0 = inverse[:, 0, None, None] * u + inverse[:, 1, None, None] * v[:, None]
    k = inverse[:, 2]
    a, b = float(k @ k), np.tensordot(k, s0, 1)
    root = b * b - a * ((s0 * s0).sum(0) - 1)
    far = (-b - np.sqrt(np.maximum(root, 0))) / a
    normal = np.tensordot(inverse.T, s0 + k[:, None, None] * far, 1)
    normal /= np.sqrt((normal * normal).sum(0)) + 1e-9
    light = np.tensordot(_LIGHT, normal, 1)
    tone = np.where(
        light > 0.93, 1.22, np.where(light > 0.42, 1.0, np.where(light > -0.1, 0.8, 0.6))
    )
    if part.glow:
        tone = np.where(light > 0.5, 1.3, 1.05)
    target = depth[y0:y1, x0:x1]
    seen = (root > 0) & (place[2] + far < target)
    target[seen] = (place[2] + far)[seen]
    color[y0:y1, x0:x1][seen] = tone[seen][:, None] * np.array(shade, np.float32)


def _posed(part: Part, pose: Pose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn and middle of a part in a pose: the limb about its joint, then the whole body about its hips."""
    swing = pose.swing.get(part.limb, 0.0)
    joint = np.array(LIMBS.get(part.limb, (0.0, 0.0, 0.0)))
    turn = _about_x(swing) @ _about_z(part.twist)
    middle = _about_x(swing) @ (np.array(part.middle) - joint) + joint
    if part.limb != "board":
        hips = np.array([0, 0, 0.9])
        lean = _about_x(pose.lean)
        turn, middle = lean @ turn, lean @ (middle - hips) + hips + np.array([0, 0, pose.rise])
    return turn, middle


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

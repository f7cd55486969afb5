"""Ground and sky: the floor of an arena as a texture under the camera, and what stands on the horizon."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from games.brawl.arena import BASE_RADIUS, DEPTH, POINT_RADIUS, WIDTH, Arena, arena
from games.brawl.camera import Camera
from games.brawl.palette import ALLY, ENEMY
from games.brawl.spec import SPEC
from games.brawl.themes import THEMES
from games.env import Frame

MARGIN = 14.0
"""Meters of ground outside of the arena."""
SCALE = 16
"""Texture pixels a meter."""
_FOG_ROWS = 46
"""Rows below the horizon that fade into the distance, of a picture of 180."""
_SKY_ROWS = 70
"""Rows of the panorama, of a picture of 180."""
_TEXTURE = np.array([[SCALE, 0, MARGIN * SCALE], [0, SCALE, MARGIN * SCALE], [0, 0, 1.0]])
"""From places of the arena to pixels of its floor."""


@lru_cache(maxsize=2 * len(THEMES))
def floor(number: int, team: int) -> Frame:
    """The floor as a picture from above, the west at the left and the south (y = 0) at the top."""
    place = arena(number)
    theme = place.theme
    rng = np.random.default_rng([5, number])
    height, width = round((DEPTH + 2 * MARGIN) * SCALE), round((WIDTH + 2 * MARGIN) * SCALE)
    picture = np.tile(np.array(theme.outside, np.uint8), (height, width, 1))
    x, y = np.arange(round(WIDTH * SCALE)), np.arange(round(DEPTH * SCALE))
    edge, tile = round(MARGIN * SCALE), 2 * SCALE
    inside = picture[edge : edge + len(y), edge : edge + len(x)]
    rows = [(x // tile + first) % 2 for first in (0, 1)]  # of tiles, in turns
    colors = np.array([theme.floor, theme.tile], np.uint8)[rows]
    inside[:] = colors[y // tile % 2]
    inside[:, x % tile < 1] = inside[y % tile < 1] = theme.line
    _draw_marks(inside, place, team)
    for b in place.blocks:  # their shadow, to the south-east
        low_x, low_y = b.x - b.half_x, b.y - b.half_y - 0.2 * b.height
        high_x, high_y = b.x + b.half_x + 0.35 * b.height, b.y + b.half_y
        shade = inside[_slice(low_y, high_y), _slice(low_x, high_x)]
        shade[:] = shade * 0.62
    picture[:] = np.clip(picture + _grain(rng, height, width)[..., None], 0, 255)
    return picture


def _grain(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Fine and coarse spots, to be added."""
    grain = np.zeros((height, width), np.float32)
    for cells, strength in ((4, 5.0), (64, 6.0)):
        noise = rng.normal(0, strength, (height // cells + 1, width // cells + 1))
        grain += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).astype(
            np.float32
        )
    return grain


def _rgb(color: tuple[int, int, int]) -> NDArray[np.float32]:
    return np.array(color, np.float32)


def _slice(low: float, high: float) -> slice:
    return slice(max(0, round(low * SCALE)), max(0, round(high * SCALE)))


def _draw_marks(inside: NDArray[np.uint8], place: Arena, team: int) -> None:
    """Bases, the ground of points, and where cells lie."""
    line = cv2.LINE_AA
    for owner, (x, y) in enumerate(place.bases):
        color = ALLY if owner == team else ENEMY
        middle = round(x * SCALE), round(y * SCALE)
        disc = inside.copy()
        cv2.circle(disc, middle, round(BASE_RADIUS * SCALE), color, -1, line)
        inside[:] = (inside * 0.62 + disc * 0.38).astype(np.uint8)
        cv2.circle(inside, middle, round(BASE_RADIUS * SCALE), color, 4, line)
        cv2.circle(inside, middle, round(BASE_RADIUS * 0.55 * SCALE), color, 2, line)
    for x, y in place.points:
        middle = round(x * SCALE), round(y * SCALE)
        cv2.circle(inside, middle, round(POINT_RADIUS * SCALE), place.theme.line, -1, line)
        cv2.circle(inside, middle, round(0.86 * POINT_RADIUS * SCALE), place.theme.tile, -1, line)
        cv2.circle(inside, middle, round(0.3 * POINT_RADIUS * SCALE), place.theme.line, 3, line)
    for x, y in place.cells:
        cv2.circle(inside, (round(x * SCALE), round(y * SCALE)), SCALE, (226, 190, 70), 2, line)
    cv2.rectangle(inside, (0, 0), (inside.shape[1] - 1, inside.shape[0] - 1), place.theme.line, 6)


@lru_cache(maxsize=16)
def panorama(number: int, height: int) -> Frame:
    """The sky and hills all around, for a picture of this height: one column for each of its columns of view."""
    theme = arena(number).theme
    rng = np.random.default_rng([6, number])
    rows, columns = _SKY_ROWS * height // 180, 1400 * height // 180
    fade = np.linspace(0, 1, rows)[:, None, None] ** 1.4
    strip = _rgb(theme.sky_top) * (1 - fade) + _rgb(theme.sky_low) * fade
    picture = np.repeat(strip, columns, 1).astype(np.uint8)
    angle = np.arange(columns) * math.tau / columns
    for layer, share in ((0, 0.35), (1, 0.75)):
        rise = np.zeros(columns)
        for k in range(1, 9):
            rise += rng.uniform(0.3, 1) / k * np.sin(angle * k * 2 + rng.uniform(0, math.tau))
        top = rows - (rows * (0.26 - 0.1 * layer) * (1 + 0.42 * rise)).astype(int)
        color = _rgb(theme.hills) * share + _rgb(theme.sky_low) * (1 - share)
        picture[np.arange(rows)[:, None] >= top] = color
    return picture


def draw_ground(frame: Frame, place: Arena, camera: Camera, team: int) -> None:
    """Fill a frame with sky and floor."""
    height, width = frame.shape[:2]
    horizon = max(0, min(height - 1, math.ceil(camera.horizon)))
    if horizon:
        _draw_sky(frame[:horizon], panorama(place.number, height), camera)
    below = frame[horizon:]
    smooth = cv2.INTER_LINEAR if height > SPEC.frame.height else cv2.INTER_NEAREST
    cv2.warpPerspective(
        floor(place.number, team), _TEXTURE @ camera.ground_under(horizon), (width, len(below)),
        dst=below, flags=smooth | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    _draw_fog(below, _fog(place.number, width, height))


class _Fog(NamedTuple):
    """The distance that swallows the floor below the horizon."""

    color: NDArray[np.uint8]
    """(3 * columns)."""
    left: NDArray[np.uint16]
    """How much of the floor is left of 255 in each row (rows, 1)."""
    light: NDArray[np.uint16]
    """What the fog adds, times 255 (rows, 3 * columns)."""


@lru_cache(maxsize=16)
def _fog(number: int, width: int, height: int) -> _Fog:
    rows = _FOG_ROWS * height // 180
    color = np.tile(np.array(arena(number).theme.sky_low, np.uint8), width)
    thick = [round(255 * (1 - row / rows) ** 1.6) for row in range(rows)]
    alpha = np.array(thick, np.uint16)[:, None]
    return _Fog(color, 255 - alpha, alpha * color)


def _draw_fog(below: Frame, fog: _Fog) -> None:
    """Mix fog into the rows below the horizon, rounded towards the floor."""
    count = min(len(below), len(fog.light))
    rows = below[:count].reshape(count, -1)
    mixed = rows * fog.left[:count]
    mixed += fog.light[:count]
    mixed += (rows > fog.color) * np.uint16(254)  # rounds up where the floor is the brighter one
    mixed //= 255
    rows[:] = mixed


def _draw_sky(sky: Frame, strip: Frame, camera: Camera) -> None:
    rows, columns = sky.shape[:2]
    left = round(camera.yaw * strip.shape[1] / math.tau - columns / 2) % strip.shape[1]
    lower = strip[-rows:]
    if len(lower) < rows:
        sky[: rows - len(lower)] = strip[0, 0]
        sky = sky[rows - len(lower) :]
    room = min(columns, strip.shape[1] - left)
    sky[:, :room] = lower[:, left : left + room]
    if room < columns:
        sky[:, room:] = lower[:, : columns - room]

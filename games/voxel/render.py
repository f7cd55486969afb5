"""Renderer: vectorised ray casting of the block world, its animals and the sky.

Every ray leaps through empty space by the clearance stored in `World.clear` (a cube known to be empty), so most
rays end within a dozen rounds, and finished rays leave the arrays. Rays, positions and bounds are (3, n) float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from games.voxel import blocks as b
from games.voxel.animals import COW, PIG, Animal
from games.voxel.world import World

FOV_DEG = 62.0
"""Vertical field of view."""
SIGHT = 44.0
"""Blocks until everything has faded into the fog."""
ANIMAL_KIND = {COW: 100, PIG: 150}
"""In `View.kind`, ANIMAL_KIND[species] + i is the i-th animal; below 100 are block ids, `OUTSIDE` is sky."""

_EPS = np.float32(1e-4)
_STEEP = np.float32(1e6)
_FACE_LIGHT = np.array([0.78, 1.0, 0.62], np.float32)  # faces across x, y, z
_SUN = np.array([0.52, 0.62, -0.58], np.float32)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """Eye position in blocks; yaw 0° looks along +z and grows to the right, pitch grows downwards."""

    x: float
    y: float
    z: float
    yaw_deg: float
    pitch_deg: float


@dataclass(frozen=True)
class View:
    """One rendered view: frame (H, W, 3) uint8, kind (H, W) uint8, distance (H, W) float32 in blocks."""

    frame: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    distance: Floats
    pose: Pose


@lru_cache(maxsize=8)
def _base_rays(height: int, width: int) -> Floats:
    """Unit rays of an eye that looks along +z, shape (3, H·W)."""
    half = math.tan(math.radians(FOV_DEG) / 2)
    v = -((np.arange(height) + 0.5) / height * 2 - 1) * half
    u = ((np.arange(width) + 0.5) / width * 2 - 1) * half * width / height
    rays = np.stack(
        [
            np.broadcast_to(u, (height, width)),
            np.broadcast_to(v[:, None], (height, width)),
            np.ones((height, width)),
        ]
    ).reshape(3, -1)
    unit: Floats = (rays / np.linalg.norm(rays, axis=0)).astype(np.float32)
    return unit


def rays(pose: Pose, height: int, width: int) -> Floats:
    """Unit directions of all pixels, row by row, shape (3, H·W)."""
    yaw, pitch = math.radians(pose.yaw_deg), math.radians(pose.pitch_deg)
    cp, sp, cy, sy = math.cos(pitch), math.sin(pitch), math.cos(yaw), math.sin(yaw)
    tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    turn = np.array([[-cy, 0, -sy], [0, 1, 0], [-sy, 0, cy]])
    turned: Floats = (turn @ tilt).astype(np.float32) @ _base_rays(height, width)
    return turned


def render(
    world: World,
    animals: list[Animal],
    pose: Pose,
    height: int,
    width: int,
    clock: int,
    daylight: float,
) -> View:
    """Draw the world from `pose`; `clock` (steps) moves water and clouds, `daylight` in [0, 1] sets the light."""
    directions = rays(pose, height, width)
    origin = np.array([pose.x, pose.y, pose.z], np.float32)[:, None]
    distance, cell = _march(world, origin, directions)
    kind = world.blocks.reshape(-1)[cell]
    colour = _paint(world, origin, directions, distance, cell, kind, clock, daylight)
    kind[distance > SIGHT] = b.OUTSIDE
    for i, animal in enumerate(animals):
        _draw_animal(animal, i, pose, directions, distance, colour, kind, (height, width), daylight)
    frame = colour.T.reshape(height, width, 3).astype(np.uint8)
    return View(frame, kind.reshape(height, width), distance.reshape(height, width), pose)


def _march(world: World, origin: Floats, directions: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """Distance (n,) to the block each ray hits and that block's flat index."""
    _, size_y, size_z = world.blocks.shape
    clear = world.clear.reshape(-1)
    n = directions.shape[1]
    with np.errstate(divide="ignore"):
        inverse = np.clip(np.float32(1) / directions, -_STEEP, _STEEP)
    sign = np.sign(inverse)
    behind = (sign < 0).astype(np.float32) - origin
    out_t = np.empty(n, np.float32)
    out_cell = np.empty(n, np.int32)
    alive = np.arange(n)
    d = directions
    t = np.full(n, 1e-3, np.float32)
    while True:
        i = (origin + d * t).astype(np.int32)
        cell = (i[0] * size_y + i[1]) * size_z + i[2]
        room = clear[cell]
        done = room == 0
        if 5 * np.count_nonzero(done) >= done.size:
            done_rays = alive[done]
            out_t[done_rays], out_cell[done_rays] = t[done], cell[done]
            keep = np.flatnonzero(~done)
            if not keep.size:
                return out_t, out_cell
            alive, room, t, done = alive[keep], room[keep], t[keep], done[keep]
            d, inverse, sign, behind, i = (
                np.take(a, keep, axis=1) for a in (d, inverse, sign, behind, i)
            )
        bound = i.astype(np.float32)
        bound += sign * room.astype(np.float32)
        bound += behind
        bound *= inverse
        leap = np.minimum(np.minimum(bound[0], bound[1]), bound[2])
        t = np.where(done, t, np.maximum(leap, t) + _EPS)


def _paint(
    world: World,
    origin: Floats,
    directions: Floats,
    distance: Floats,
    cell: NDArray[np.int32],
    kind: NDArray[np.uint8],
    clock: int,
    daylight: float,
) -> Floats:
    """Colours (3, n) float32 of every ray: textured faces in light, shade and fog before the sky."""
    _, size_y, size_z = world.blocks.shape
    sky = _sky(origin, directions, clock, daylight)
    hits = np.flatnonzero(kind != b.OUTSIDE)
    d, t, cell, kind = directions[:, hits], distance[hits], cell[hits], kind[hits]
    column, iz = np.divmod(cell, size_z)
    ix, iy = np.divmod(column, size_y)
    point = origin + d * t
    inside = point - np.stack([ix, iy, iz]).astype(np.float32)
    np.clip(inside, 0, 0.9999, out=inside)
    axis = np.abs(inside - (d < 0).astype(np.float32)).argmin(axis=0)
    texel = (inside * b.TEXELS).astype(np.int32)
    across_x = axis == 0
    level = axis == 1
    u = np.where(across_x, texel[2], texel[0])
    v = np.where(level, texel[2], b.TEXELS - 1 - texel[1])
    face = np.where(level, np.where(d[1] < 0, b.TOP, b.BOTTOM), b.SIDE)
    v = np.where(kind == b.WATER, (v + clock // 3) % b.TEXELS, v)
    flat = ((kind.astype(np.int32) * 3 + face) * b.TEXELS + v) * b.TEXELS + u
    light = _FACE_LIGHT[axis]
    shade = world.ceiling[ix, iz] > iy + 1
    light = light * np.where(shade & level, np.float32(0.66), np.float32(1)) * np.float32(daylight)
    light[level & (d[1] > 0)] *= np.float32(0.5)
    colour = _atlas()[:, flat] * light
    fog = np.clip(t / np.float32(SIGHT), 0, 1)
    fog *= fog
    fog *= fog * np.float32(0.9)
    fog[t > SIGHT] = 1
    sky[:, hits] = colour + (sky[:, hits] - colour) * fog
    return sky


@lru_cache(maxsize=1)
def _atlas() -> Floats:
    """All texels, shape (3, blocks · faces · 16 · 16)."""
    return np.ascontiguousarray(b.textures().reshape(-1, 3).T.astype(np.float32))


@lru_cache(maxsize=1)
def _clouds() -> NDArray[np.bool_]:
    """A 64 × 64 pattern of square clouds that repeats."""
    rng = np.random.default_rng(3)
    noise = rng.random((16, 16))
    noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3
    return np.repeat(np.repeat(noise > 0.62, 4, 0), 4, 1)


def _sky(origin: Floats, directions: Floats, clock: int, daylight: float) -> Floats:
    """Sky colours (3, n): paler towards the horizon, a square sun and drifting clouds above it."""
    up = directions[1]
    rise = np.clip(up * np.float32(1.6), 0, 1)
    horizon = np.array([[186], [212], [238]], np.float32) * np.float32(daylight)
    zenith = np.array([[92], [148], [232]], np.float32) * np.float32(daylight)
    colour: Floats = horizon + (zenith - horizon) * rise
    high = np.flatnonzero(up > 0.06)
    if high.size:
        d = directions[:, high]
        far = np.float32(46) - origin[1]
        x = (origin[0] + d[0] / d[1] * far) / 3 + np.float32(clock / 60)
        z = (origin[2] + d[2] / d[1] * far) / 3
        cloudy = high[_clouds()[x.astype(np.int32) % 64, z.astype(np.int32) % 64]]
        colour[:, cloudy] += (np.float32(250 * daylight) - colour[:, cloudy]) * np.float32(0.55)
        sun = high[_SUN @ d > 0.994]
        colour[:, sun] = np.array([[255], [244], [190]], np.float32)
    return colour


def _draw_animal(
    animal: Animal,
    index: int,
    pose: Pose,
    directions: Floats,
    distance: Floats,
    colour: Floats,
    kind: NDArray[np.uint8],
    size: tuple[int, int],
    daylight: float,
) -> None:
    """Draw one animal's boxes into `colour` and `kind` where they are nearer than what is there."""
    pixels = _screen_rectangle(animal, pose, size)
    if pixels is None:
        return
    d = directions[:, pixels]
    facing = math.radians(animal.yaw_deg)
    c, s = np.float32(math.cos(facing)), np.float32(math.sin(facing))
    ex, ey, ez = pose.x - animal.x, pose.y - animal.y, pose.z - animal.z
    origin = np.array([-ex * c - ez * s, ey, -ex * s + ez * c], np.float32)
    local = np.stack([-d[0] * c - d[2] * s, d[1], -d[0] * s + d[2] * c])  # right, up, ahead
    with np.errstate(divide="ignore"):
        inverse: Floats = np.clip(np.float32(1) / local, -_STEEP, _STEEP)
    hull = np.stack([animal.boxes[:, 0].min(axis=0), animal.boxes[:, 1].max(axis=0)])[None]
    start, _ = _enter(hull, origin, inverse)
    close = np.flatnonzero(start[0] < np.minimum(distance[pixels], np.float32(SIGHT)))
    pixels, local = pixels[close], local[:, close]
    start, axis = _enter(animal.boxes, origin, inverse[:, close])
    if not close.size:
        return
    part = start.argmin(axis=0)
    t = start[part, np.arange(pixels.size)]
    hit = np.flatnonzero(t < np.minimum(distance[pixels], np.float32(SIGHT)))
    part, t, covered = part[hit], t[hit], pixels[hit]
    point = origin[:, None] + local[:, hit] * t
    tint = animal.tint(part, point)
    light = _FACE_LIGHT[axis[part, hit]] * np.float32(daylight)
    fog = np.clip(t / np.float32(SIGHT), 0, 1) ** 4 * np.float32(0.9)
    colour[:, covered] = tint * light * (1 - fog) + colour[:, covered] * fog
    distance[covered] = t
    kind[covered] = ANIMAL_KIND[animal.species] + index


def _enter(boxes: Floats, origin: Floats, inverse: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Where rays (3, n) enter boxes (k, 2, 3): distances (k, n), infinite for a miss, and the axis crossed."""
    one = (boxes[:, 0, :, None] - origin[:, None]) * inverse
    two = (boxes[:, 1, :, None] - origin[:, None]) * inverse
    enter = np.minimum(one, two)
    start: Floats = enter.max(axis=1)
    start[(start > np.maximum(one, two).min(axis=1)) | (start < 0)] = np.inf
    return start, enter.argmax(axis=1)


def _screen_rectangle(
    animal: Animal, pose: Pose, size: tuple[int, int]
) -> NDArray[np.int64] | None:
    """Flat indices of the pixels an animal can cover, None where it is out of view."""
    height, width = size
    dx, dy, dz = animal.x - pose.x, animal.y + 0.6 - pose.y, animal.z - pose.z
    if dx * dx + dz * dz > SIGHT**2:
        return None
    yaw, pitch = math.radians(pose.yaw_deg), math.radians(pose.pitch_deg)
    right = -dx * math.cos(yaw) - dz * math.sin(yaw)
    ahead = -dx * math.sin(yaw) + dz * math.cos(yaw)
    depth = ahead * math.cos(pitch) - dy * math.sin(pitch)
    lift = dy * math.cos(pitch) + ahead * math.sin(pitch)
    radius = 1.15
    if depth < -radius:
        return None
    rows, columns = (0, height), (0, width)
    if depth > radius + 0.2:
        scale = height / 2 / math.tan(math.radians(FOV_DEG) / 2)
        reach = radius / (depth - radius) * scale
        rows = _span(height / 2 - lift / depth * scale, reach, height)
        columns = _span(width / 2 + right / depth * scale, reach, width)
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return None
    return (np.arange(*rows)[:, None] * width + np.arange(*columns)).reshape(-1)


def _span(centre: float, reach: float, limit: int) -> tuple[int, int]:
    return max(0, int(centre - reach) - 1), min(limit, int(centre + reach) + 2)

"""World generation: hills, a snowy mountain, ponds, trees and landmarks from one seed.

Neighbouring columns never differ by more than one block, so every place can be reached by walking and jumping.
Arrays are indexed [x, y, z] with y up and a shell of `OUTSIDE` one block thick around everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from games.voxel import blocks as b

SIZE = 56
"""Blocks along x and z, shell included."""
HEIGHT = 34
SEA = 7
"""Height of the water's surface layer."""
REACH = 8
"""Largest empty-space radius kept in `World.clear`."""

LANDMARKS = (b.GOLD, b.LAPIS, b.BRICK)


@dataclass
class World:
    """Blocks, and arrays derived from them.

    blocks: (SIZE, HEIGHT, SIZE) uint8 ids. clear: same shape, uint8; around an empty cell every cell closer
    than `clear` (Chebyshev) is empty too, and 0 marks a cell that stops a ray. ceiling: (SIZE, SIZE) height
    of the highest block of a column.
    """

    blocks: NDArray[np.uint8]
    clear: NDArray[np.uint8]
    ceiling: NDArray[np.int16]
    landmarks: dict[int, tuple[float, float]]
    peak: int
    """Height of the highest ground in the world."""

    def solid(self, x: int, y: int, z: int) -> bool:
        """Whether a player stands on or bumps into this cell; water is passable, the shell is solid."""
        return self.blocks[x, y, z] not in b.PASSABLE

    def remove(self, x: int, y: int, z: int) -> None:
        """Break a block; the neighbours' `clear` stays valid because it only gets too small."""
        self.blocks[x, y, z] = b.AIR
        self.clear[x, y, z] = 1
        self._measure_column(x, z)

    def place(self, x: int, y: int, z: int, block: int) -> None:
        """Put a block and shrink the empty-space radius around it."""
        self.blocks[x, y, z] = block
        lows = [max(0, i - REACH) for i in (x, y, z)]
        highs = [i + REACH + 1 for i in (x, y, z)]
        region = self.clear[lows[0] : highs[0], lows[1] : highs[1], lows[2] : highs[2]]
        axes = [
            np.abs(np.arange(n) + low - i)
            for n, low, i in zip(region.shape, lows, (x, y, z), strict=True)
        ]
        away = np.maximum(np.maximum(axes[0][:, None, None], axes[1][:, None]), axes[2])
        np.minimum(region, away.astype(np.uint8), out=region)
        self._measure_column(x, z)

    def ground(self, x: float, z: float) -> int:
        """Height of the highest cell a player can stand on in this column, leaves, trunks and water not counted."""
        column = self.blocks[int(x), :-1, int(z)]
        return int(np.flatnonzero(~np.isin(column, (b.AIR, b.LEAVES, b.LOG, b.WATER)))[-1])

    def _measure_column(self, x: int, z: int) -> None:
        self.ceiling[x, z] = np.flatnonzero(self.blocks[x, :-1, z] != b.AIR)[-1]


def generate(rng: np.random.Generator) -> World:
    """Make a world; the same generator state gives the same world."""
    heights, snow_line = _heights(rng)
    blocks = _ground(heights, snow_line)
    taken = np.zeros((SIZE, SIZE), bool)
    taken[:4] = taken[-4:] = taken[:, :4] = taken[:, -4:] = True
    taken |= heights < SEA
    landmarks = {}
    for block in LANDMARKS:
        x, z = _free_place(rng, taken & True | (heights > snow_line), clearance=6)
        taken[x - 5 : x + 7, z - 5 : z + 7] = True
        top = int(heights[x : x + 2, z : z + 2].max())
        blocks[x : x + 2, int(heights[x : x + 2, z : z + 2].min()) : top + 9, z : z + 2] = block
        landmarks[block] = (x + 1.0, z + 1.0)
    for _ in range(int(rng.integers(9, 15))):
        x, z = _free_place(rng, taken | (heights > snow_line), clearance=2)
        taken[x - 3 : x + 4, z - 3 : z + 4] = True
        _plant(blocks, x, int(heights[x, z]), z, int(rng.integers(5, 7)))
    _shell(blocks)
    inner = heights[1:-1, 1:-1]
    ceiling = np.zeros((SIZE, SIZE), np.int16)
    filled = (blocks != b.AIR)[:, :-1]
    ceiling[:] = filled.shape[1] - 1 - filled[:, ::-1].argmax(axis=1)
    return World(blocks, _clearance(blocks), ceiling, landmarks, int(inner.max()))


def _heights(rng: np.random.Generator) -> tuple[NDArray[np.int16], int]:
    """Ground heights (SIZE, SIZE) with steps of at most one, and the height where snow begins."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    height = np.full((SIZE, SIZE), 8.3)
    for cells, amplitude in ((4, 1.8), (8, 0.9), (16, 0.35)):
        height += amplitude * _smooth_noise(rng, cells)
    edge = 13
    cx, cz = rng.uniform(edge, SIZE - edge, 2)
    spread = rng.uniform(5.5, 7.0)
    rise = rng.uniform(7.5, 9.5)
    height += rise * np.exp(-((rows - cx) ** 2 + (columns - cz) ** 2) / (2 * spread**2))
    steps = np.round(height).astype(np.int16)
    for _ in range(SIZE):  # lower every column to at most one above its lowest neighbour
        padded = np.pad(steps, 1, mode="edge")
        near = np.minimum.reduce(
            [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
        )
        lowered = np.minimum(steps, near + 1)
        if (lowered == steps).all():
            break
        steps = lowered
    steps = np.maximum(steps, SEA - 1)  # ponds are one block deep: a player wades
    return steps, int(steps.max()) - 3


def _smooth_noise(rng: np.random.Generator, cells: int) -> NDArray[np.float64]:
    """Value noise in about [-1, 1] with `cells` bumps along each side."""
    knots = rng.uniform(-1, 1, (cells + 2, cells + 2))
    positions = np.linspace(0, cells, SIZE, endpoint=False)
    i = positions.astype(int)
    f = positions - i
    f = f * f * (3 - 2 * f)
    rows = knots[i] * (1 - f)[:, None] + knots[i + 1] * f[:, None]
    mixed: NDArray[np.float64] = rows[:, i] * (1 - f) + rows[:, i + 1] * f
    return mixed


def _ground(heights: NDArray[np.int16], snow_line: int) -> NDArray[np.uint8]:
    """Fill columns: bedrock, stone, dirt, and a surface that depends on height and water."""
    y = np.arange(HEIGHT)[None, :, None]
    top = heights[:, None, :]
    blocks = np.zeros((SIZE, HEIGHT, SIZE), np.uint8)
    blocks[np.broadcast_to(y <= top - 4, blocks.shape)] = b.STONE
    blocks[(y > top - 4) & (y < top)] = b.DIRT
    surface = np.where(heights > snow_line, b.SNOW, b.GRASS)
    surface[heights <= SEA - 1] = b.SAND
    near_water = np.zeros(heights.shape, bool)
    wet = heights < SEA
    for axis in (0, 1):
        for shift in (-1, 1):
            near_water |= np.roll(wet, shift, axis)
    surface[near_water & (heights == SEA)] = b.SAND
    x, z = np.indices(heights.shape)
    blocks[x, heights, z] = surface
    blocks[(y == SEA) & (top < SEA)] = b.WATER
    blocks[:, :2] = b.BEDROCK
    return blocks


def _plant(blocks: NDArray[np.uint8], x: int, ground: int, z: int, trunk: int) -> None:
    """A tree: a trunk, two wide leafy layers with clipped corners and a cap."""
    top = ground + trunk
    for dy, radius in ((0, 2), (1, 2), (2, 1)):
        for dx in range(-radius, radius + 1):
            for dz in range(-radius, radius + 1):
                corner = abs(dx) == radius and abs(dz) == radius
                if not corner and blocks[x + dx, top + dy, z + dz] == b.AIR:
                    blocks[x + dx, top + dy, z + dz] = b.LEAVES
    blocks[x, ground + 1 : top + 2, z] = b.LOG


def _free_place(
    rng: np.random.Generator, taken: NDArray[np.bool_], clearance: int
) -> tuple[int, int]:
    """A random free column at least `clearance` from the rim."""
    free = ~taken
    free[:clearance] = free[-clearance:] = False
    free[:, :clearance] = free[:, -clearance:] = False
    xs, zs = np.nonzero(free)
    i = int(rng.integers(len(xs)))
    return int(xs[i]), int(zs[i])


def _shell(blocks: NDArray[np.uint8]) -> None:
    for axis in range(3):
        np.moveaxis(blocks, axis, 0)[[0, -1]] = b.OUTSIDE


def _clearance(blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For every cell the Chebyshev distance to the nearest block, at most `REACH`."""
    full = blocks != b.AIR
    clear = np.where(full, 0, REACH).astype(np.uint8)
    grown = full
    for radius in range(1, REACH):
        for axis in range(3):
            wide = grown.copy()
            near, far = [slice(None)] * 3, [slice(None)] * 3
            near[axis], far[axis] = slice(1, None), slice(None, -1)
            wide[tuple(near)] |= grown[tuple(far)]
            wide[tuple(far)] |= grown[tuple(near)]
            grown = wide
        clear[grown & (clear == REACH)] = radius
    return clear

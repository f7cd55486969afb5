"""Arenas: seven maps, each from a seed of its own, the same for both teams when turned half round."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from games.brawl.themes import THEMES, Theme

WIDTH, DEPTH = 46.0, 34.0
"""Meters along x (the blue base lies in the west) and along y."""
LOW = 0.9
"""Height up to which a block can be jumped onto."""
_BUCKET = 2.0
POINT_RADIUS, BASE_RADIUS = 3.4, 3.4
POINTS = "ABC"
CELLS = 4


@dataclass(frozen=True)
class Block:
    """An obstacle: a box along the axes, its middle, half sizes and height in meters."""

    x: float
    y: float
    half_x: float
    half_y: float
    height: float


@dataclass(frozen=True)
class Arena:
    """A map: obstacles, bases by team, capture points A, B, C, and where power cells appear."""

    number: int
    theme: Theme
    blocks: tuple[Block, ...]
    bases: tuple[tuple[float, float], tuple[float, float]]
    points: tuple[tuple[float, float], ...]
    cells: tuple[tuple[float, float], ...]
    _near: dict[tuple[int, int], tuple[Block, ...]] = field(default_factory=dict, repr=False)

    def near(self, x: float, y: float) -> tuple[Block, ...]:
        """The blocks that a body at (x, y) may touch."""
        return self._near.get((int(x / _BUCKET), int(y / _BUCKET)), ())

    def is_blocked(self, x: float, y: float, margin: float = 0.6) -> bool:
        """Whether a tall block or the edge of the arena is nearer than `margin`."""
        if not (margin < x < WIDTH - margin and margin < y < DEPTH - margin):
            return True
        return any(
            abs(x - b.x) < b.half_x + margin and abs(y - b.y) < b.half_y + margin
            for b in self.near(x, y)
        )

    def wall_at(self, x: float, y: float, z: float) -> bool:
        """Whether the point lies inside of a block or outside of the arena."""
        if not (0 < x < WIDTH and 0 < y < DEPTH):
            return True
        return any(
            z < b.height and abs(x - b.x) < b.half_x and abs(y - b.y) < b.half_y
            for b in self.near(x, y)
        )

    def sees(self, x0: float, y0: float, x1: float, y1: float) -> bool:
        """Whether no block of a body's height stands between two places."""
        steps = int(math.hypot(x1 - x0, y1 - y0)) + 1
        for i in range(1, steps):
            t = i / steps
            if self.wall_at(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t, 1.2):
                return False
        return True


@lru_cache(maxsize=len(THEMES))
def arena(number: int) -> Arena:
    """The map of this number, 0 to 6."""
    theme = THEMES[number]
    rng = np.random.default_rng([4718, theme.seed])
    bases = ((4.5, DEPTH / 2), (WIDTH - 4.5, DEPTH / 2))
    side = float(rng.choice((-1.0, 1.0)))
    ax = float(rng.uniform(12.5, 16.0))
    ay = DEPTH / 2 + side * float(rng.uniform(6.5, 10.5))
    points = ((ax, ay), (WIDTH / 2, DEPTH / 2), (WIDTH - ax, DEPTH - ay))
    cells = _cells(rng, [*bases, *points])
    blocks = _blocks(rng, theme, [*bases, *points], cells)
    near: dict[tuple[int, int], list[Block]] = {}
    for b in blocks:
        for i in range(
            int((b.x - b.half_x - 1.5) / _BUCKET), int((b.x + b.half_x + 1.5) / _BUCKET) + 1
        ):
            for j in range(
                int((b.y - b.half_y - 1.5) / _BUCKET), int((b.y + b.half_y + 1.5) / _BUCKET) + 1
            ):
                near.setdefault((i, j), []).append(b)
    lists = {cell: tuple(entries) for cell, entries in near.items()}
    return Arena(number, theme, blocks, bases, points, cells, lists)


def _cells(
    rng: np.random.Generator, taken: list[tuple[float, float]]
) -> tuple[tuple[float, float], ...]:
    """Places of power cells, in pairs that lie opposite each other."""
    cells: list[tuple[float, float]] = []
    while len(cells) < CELLS:
        x, y = float(rng.uniform(9, WIDTH / 2 - 1)), float(rng.uniform(3, DEPTH - 3))
        pair = [(x, y), (WIDTH - x, DEPTH - y)]
        others = [*taken, *cells]
        if all(math.dist(p, q) > 5.5 for p in pair for q in others) and math.dist(*pair) > 5.5:
            cells += pair
    return tuple(cells)


def _blocks(
    rng: np.random.Generator,
    theme: Theme,
    taken: list[tuple[float, float]],
    cells: tuple[tuple[float, float], ...],
) -> tuple[Block, ...]:
    """Obstacles in opposite pairs, with room for the largest fighter between any two."""
    blocks: list[Block] = []
    for _ in range(600):
        if len(blocks) >= theme.blocks:
            break
        half_x, half_y, height = (float(v) for v in _size(rng, theme))
        x, y = float(rng.uniform(4, WIDTH / 2)), float(rng.uniform(1.5, DEPTH - 1.5))
        one = Block(x, y, half_x, half_y, height)
        other = Block(WIDTH - x, DEPTH - y, half_x, half_y, height)
        is_free = all(
            _gap(b, px, py) > room
            for b in (one, other)
            for room, places in ((4.2, taken), (1.6, cells))
            for px, py in places
        )
        inside = y - half_y > 2.0 and y + half_y < DEPTH - 2.0 and x + half_x < WIDTH / 2 - 0.9
        if is_free and inside and all(_apart(one, b) > 1.9 for b in blocks):
            blocks += [one, other]
    return tuple(blocks)


def _size(rng: np.random.Generator, theme: Theme) -> tuple[float, float, float]:
    kind = rng.random()
    if kind < theme.crates:
        return rng.uniform(0.7, 1.1), rng.uniform(0.7, 1.1), rng.uniform(0.6, 0.85)
    if kind < theme.crates + theme.pillars:
        half = rng.uniform(0.6, 0.9)
        return half, half, rng.uniform(2.6, 3.6)
    long, thin = rng.uniform(1.4, 2.6), rng.uniform(0.4, 0.8)
    height = rng.uniform(1.5, 2.3)
    return (long, thin, height) if rng.random() < 0.5 else (thin, long, height)


def _gap(b: Block, x: float, y: float) -> float:
    return math.hypot(max(0.0, abs(x - b.x) - b.half_x), max(0.0, abs(y - b.y) - b.half_y))


def _apart(a: Block, b: Block) -> float:
    dx = max(0.0, abs(a.x - b.x) - a.half_x - b.half_x)
    dy = max(0.0, abs(a.y - b.y) - a.half_y - b.half_y)
    return math.hypot(dx, dy)

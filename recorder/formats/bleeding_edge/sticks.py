"""Stick positions: an 11 x 11 grid of axis buckets, and the polar bins of a `games.Stick`, each as the other.

The two grids do not fit. Of the 121 pairs of buckets 109 have a polar pair (rotation, magnitude) of their own; these
come back as they were. Twelve share one: with y at rest x of .375 and .625 (and so on each of the four half-axes), and
on the diagonals what lies at or beyond the unit circle. In the other direction 108 of the 1,024 polar pairs and the
stick at rest come back as they were; every other one goes to the nearest pair of buckets, and stays there from then
on.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from games import Stick
from recorder.formats.bleeding_edge.layout import CENTRES, EDGES

Pair = tuple[float, float]
Cell = tuple[int, int]
"""Bucket of x and bucket of y."""
REST: Cell = (5, 5)


def buckets(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """The bucket of each axis value; those beyond the outer edges are in the first and last.

    The edges are float32 as well: in a file .95 is less than .95.
    """
    edges = np.array(EDGES, np.float32)
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(CENTRES) - 1)


@lru_cache(maxsize=4096)
def to_polar(stick: Stick, cell: Cell) -> Pair:
    """Angle in degrees, clockwise from up, and magnitude, on the stick's bins; the magnitude ends at 1."""
    x, y = CENTRES[cell[0]], CENTRES[cell[1]]
    return stick.normalize((math.degrees(math.atan2(x, y)) % 360, min(1.0, math.hypot(x, y))))


@lru_cache(maxsize=65536)
def from_polar(stick: Stick, position: Pair) -> Cell:
    """The buckets of a position: the nearest that `to_polar` brings back to it, else the nearest."""
    angle, magnitude = stick.normalize(position)
    if not magnitude:
        return REST
    x, y = magnitude * math.sin(math.radians(angle)), magnitude * math.cos(math.radians(angle))

    def rank(item: tuple[Cell, Pair]) -> tuple[bool, float]:
        (i, j), polar = item
        return polar != (angle, magnitude), math.hypot(CENTRES[i] - x, CENTRES[j] - y)

    return min(_grid(stick), key=rank)[0]


@lru_cache(maxsize=64)
def _grid(stick: Stick) -> list[tuple[Cell, Pair]]:
    """All pairs of buckets but the one at rest, with their polar pairs."""
    numbers = range(len(CENTRES))
    cells = [(i, j) for i in numbers for j in numbers if (i, j) != REST]
    return [(cell, to_polar(stick, cell)) for cell in cells]

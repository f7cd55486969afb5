"""Crosshair target: the first block or animal along the player's line of sight."""

from __future__ import annotations

import math
from dataclasses import dataclass

from games.voxel import blocks as b
from games.voxel.animals import Animal
from games.voxel.player import EYE, Player
from games.voxel.world import World

REACH = 4.5
"""Blocks within which a block can be broken."""
STRIKE = 3.6
"""Blocks within which an animal can be hit."""

Cell = tuple[int, int, int]


@dataclass(frozen=True)
class Aim:
    """The target: a block cell with the empty cell before it, or an animal's index; at `distance` blocks."""

    distance: float
    cell: Cell | None = None
    before: Cell | None = None
    animal: int | None = None


def aim(world: World, animals: list[Animal], player: Player) -> Aim | None:
    """The nearest target within reach, None where there is only air."""
    eye = (player.x, player.y + EYE, player.z)
    block = _block(world, eye, player.look)
    nearest = block.distance if block else REACH
    best = block
    for i, animal in enumerate(animals):
        away = _animal(animal, eye, player.look)
        if away is not None and away < min(nearest, STRIKE):
            nearest, best = away, Aim(away, animal=i)
    return best


def _block(
    world: World, eye: tuple[float, float, float], look: tuple[float, float, float]
) -> Aim | None:
    """Walk cell by cell along the line (Amanatides and Woo 1987)."""
    cell = [math.floor(v) for v in eye]
    step = [1 if v > 0 else -1 for v in look]
    slope = [abs(1 / v) if abs(v) > 1e-9 else math.inf for v in look]
    ahead = [((c + (s > 0)) - e) * s * k for c, s, e, k in zip(cell, step, eye, slope, strict=True)]
    before, away = (cell[0], cell[1], cell[2]), 0.0
    while away <= REACH:
        current = (cell[0], cell[1], cell[2])
        kind = int(world.blocks[current])
        if kind == b.OUTSIDE:
            return None
        if kind not in b.PASSABLE:
            return Aim(away, cell=current, before=before)
        axis = ahead.index(min(ahead))
        before, away = current, ahead[axis]
        cell[axis] += step[axis]
        ahead[axis] += slope[axis]
    return None


def _animal(
    animal: Animal, eye: tuple[float, float, float], look: tuple[float, float, float]
) -> float | None:
    """Distance along the line to the animal's upright box, None for a miss."""
    w = animal.half_width + 0.15
    low = (animal.x - w, animal.y, animal.z - w)
    high = (animal.x + w, animal.y + animal.height + 0.1, animal.z + w)
    start, end = 0.0, math.inf
    for e, d, lo, hi in zip(eye, look, low, high, strict=True):
        if abs(d) < 1e-9:
            if not lo <= e <= hi:
                return None
            continue
        a, c = sorted(((lo - e) / d, (hi - e) / d))
        start, end = max(start, a), min(end, c)
    return start if start <= end else None

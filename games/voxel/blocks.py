"""Blocks: ids, steps to break, drops, and generated textures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

AIR, GRASS, DIRT, STONE, SAND, SNOW, WATER, LOG, LEAVES, GOLD, LAPIS, BRICK, BEDROCK = range(13)
OUTSIDE = 13
"""The shell around the world: rays that reach it show the sky."""

TEXELS = 16
"""A block face is TEXELS × TEXELS colours."""

TOP, SIDE, BOTTOM = range(3)


@dataclass(frozen=True)
class Block:
    """One kind of block; `ticks` is how many steps of attacking break it (None: it cannot be broken)."""

    name: str
    ticks: int | None
    drop: str | None = None


BLOCKS: dict[int, Block] = {
    GRASS: Block("grass", 6, "dirt"),
    DIRT: Block("dirt", 6, "dirt"),
    STONE: Block("stone", 10, "stone"),
    SAND: Block("sand", 5, "dirt"),
    SNOW: Block("snow", 5, "dirt"),
    WATER: Block("water", None),
    LOG: Block("log", 12, "wood"),
    LEAVES: Block("leaves", 3),
    GOLD: Block("gold", None),
    LAPIS: Block("lapis", None),
    BRICK: Block("brick", None),
    BEDROCK: Block("bedrock", None),
}

PASSABLE = (AIR, WATER)


def _speckle(
    rng: np.random.Generator, colour: tuple[int, int, int], spread: int
) -> NDArray[np.int16]:
    """A face of one colour with brightness noise."""
    noise = rng.integers(-spread, spread + 1, (TEXELS, TEXELS, 1))
    face: NDArray[np.int16] = np.asarray(colour, np.int16) + noise.astype(np.int16)
    return face


def _bark(rng: np.random.Generator) -> NDArray[np.int16]:
    stripes = rng.integers(-22, 22, (1, TEXELS, 1)) + rng.integers(-8, 9, (TEXELS, TEXELS, 1))
    return np.asarray((104, 74, 42), np.int16) + stripes.astype(np.int16)


def _rings() -> NDArray[np.int16]:
    grid = np.abs(np.mgrid[0:TEXELS, 0:TEXELS] - (TEXELS - 1) / 2).max(axis=0)
    rings = ((grid.astype(int) % 3 == 0) * -35)[..., None]
    face: NDArray[np.int16] = np.asarray((170, 134, 84), np.int16) + rings.astype(np.int16)
    return face


def _grass_side(rng: np.random.Generator) -> NDArray[np.int16]:
    face = _speckle(rng, (128, 92, 60), 12)
    depth = rng.integers(3, 6, TEXELS)
    green = np.arange(TEXELS)[:, None] < depth[None, :]
    face[green] = _speckle(rng, (98, 160, 62), 14)[green]
    return face


def _bevelled(face: NDArray[np.int16], light: int) -> NDArray[np.int16]:
    face[[0, -1], :] += light
    face[:, [0, -1]] += light
    return face


def _bricks(rng: np.random.Generator) -> NDArray[np.int16]:
    face = _speckle(rng, (168, 64, 52), 12)
    rows, columns = np.mgrid[0:TEXELS, 0:TEXELS]
    mortar = (rows % 4 == 3) | ((columns + 4 * (rows // 4 % 2)) % 8 == 7)
    face[mortar] = (196, 186, 176)
    return face


@cache
def textures() -> NDArray[np.uint8]:
    """All faces, shape (blocks, 3 faces, 16, 16, 3) uint8; row 0 of a side face is its upper edge."""
    rng = np.random.default_rng(7)
    atlas = np.zeros((OUTSIDE + 1, 3, TEXELS, TEXELS, 3), np.int16)
    plain: dict[int, tuple[tuple[int, int, int], int]] = {
        DIRT: ((128, 92, 60), 14),
        STONE: ((128, 128, 132), 16),
        SAND: ((218, 204, 150), 10),
        SNOW: ((240, 246, 252), 6),
        WATER: ((48, 96, 196), 10),
        LEAVES: ((44, 104, 36), 30),
        BEDROCK: ((60, 60, 64), 24),
    }
    for block, (colour, spread) in plain.items():
        for face in (TOP, SIDE, BOTTOM):
            atlas[block, face] = _speckle(rng, colour, spread)
    atlas[GRASS, TOP] = _speckle(rng, (98, 160, 62), 16)
    atlas[GRASS, SIDE] = _grass_side(rng)
    atlas[GRASS, BOTTOM] = atlas[DIRT, BOTTOM]
    atlas[LOG, SIDE] = _bark(rng)
    atlas[LOG, [TOP, BOTTOM]] = _rings()
    for face in (TOP, SIDE, BOTTOM):
        atlas[GOLD, face] = _bevelled(_speckle(rng, (250, 208, 48), 10), 30)
        atlas[LAPIS, face] = _bevelled(_speckle(rng, (38, 66, 190), 14), -30)
        atlas[BRICK, face] = _bricks(rng)
    return atlas.clip(0, 255).astype(np.uint8)

"""Animals: cows and pigs that graze, wander, and flee for a moment when hit; their shapes and colours."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from games.voxel import blocks as b
from games.voxel.world import SEA, SIZE, World

COW, PIG = "cow", "pig"
HEALTH = 3
"""Hits until the animal is caught."""
DROPS = {COW: "beef", PIG: "pork"}

_WANDER, _FLEE = 0.03, 0.13  # blocks per step
_FLEE_STEPS = 22


@dataclass
class Animal:
    """One animal; (x, y, z) is the middle of its feet, yaw as in `render.Pose`."""

    species: str
    x: float
    y: float
    z: float
    yaw_deg: float
    health: int = HEALTH
    fleeing: int = 0
    walking: int = 0
    hurt: int = 0
    """Steps for which it still flashes red."""
    boxes: NDArray[np.float32] = field(init=False, repr=False)
    """(parts, 2 corners, 3) in blocks: right, up, ahead of the feet."""

    def __post_init__(self) -> None:
        self.boxes = _boxes(self.species)

    @property
    def half_width(self) -> float:
        return 0.5

    @property
    def height(self) -> float:
        return 1.3 if self.species == COW else 0.95

    def tint(self, part: NDArray[np.int64], point: NDArray[np.float32]) -> NDArray[np.float32]:
        """Colours (3, n) of points (3, n) on its parts (n,)."""
        colours = _palette(self.species)[part].T.copy()
        if self.species == COW:
            patch = np.sin(point[0] * 9 + 1) + np.sin(point[1] * 8) + np.sin(point[2] * 7 + 2)
            colours[:, (patch > 0.25) & (part <= 1)] = 242
        if self.hurt:
            colours = colours * np.float32(0.5) + np.array([[127], [20], [20]], np.float32)
        return colours.astype(np.float32)

    def strike(self, from_x: float, from_z: float) -> bool:
        """Take one hit from a position; True when it was the last one."""
        self.health -= 1
        self.fleeing, self.hurt = _FLEE_STEPS, 6
        self.yaw_deg = math.degrees(math.atan2(-(self.x - from_x), self.z - from_z))
        return self.health <= 0

    def step(self, world: World, rng: np.random.Generator) -> None:
        """Move for one step; it turns away from walls, drops and water."""
        self.hurt = max(0, self.hurt - 1)
        speed = 0.0
        if self.fleeing:
            self.fleeing -= 1
            speed = _FLEE
        elif self.walking:
            self.walking -= 1
            speed = _WANDER
        elif rng.random() < 0.02:
            self.walking = int(rng.integers(10, 50))
            self.yaw_deg += float(rng.uniform(-110, 110))
        if speed and not self._advance(world, speed):
            self.yaw_deg += float(rng.uniform(60, 180))
        self.y += float(np.clip(world.ground(self.x, self.z) + 1 - self.y, -0.25, 0.25))

    def _advance(self, world: World, speed: float) -> bool:
        yaw = math.radians(self.yaw_deg)
        x, z = self.x - math.sin(yaw) * speed, self.z + math.cos(yaw) * speed
        ahead_x, ahead_z = x - math.sin(yaw) * 0.6, z + math.cos(yaw) * 0.6
        if not (4 < ahead_x < SIZE - 4 and 4 < ahead_z < SIZE - 4):
            return False
        ground = world.ground(ahead_x, ahead_z)
        free = all(world.blocks[int(ahead_x), ground + up, int(ahead_z)] == b.AIR for up in (1, 2))
        if not free or ground < SEA or abs(ground + 1 - self.y) > 1.3:
            return False
        self.x, self.z = x, z
        return True


@cache
def _boxes(species: str) -> NDArray[np.float32]:
    w, legs, top, length = (0.42, 0.55, 1.25, 0.65) if species == COW else (0.36, 0.32, 0.9, 0.5)
    leg = 0.13
    parts = [
        ((-w, legs, -length), (w, top, length)),  # body
        ((-0.24, top - 0.35, length), (0.24, top + 0.15, length + 0.4)),  # head
        ((-0.12, top - 0.3, length + 0.4), (0.12, top - 0.1, length + 0.48)),  # muzzle
    ]
    for x in (-w + leg, w - leg):
        for z in (-length + leg, length - leg):
            parts.append(((x - leg, 0, z - leg), (x + leg, legs, z + leg)))
    return np.array(parts, np.float32)


@cache
def _palette(species: str) -> NDArray[np.float32]:
    if species == COW:
        return np.array(
            [(46, 36, 32), (46, 36, 32), (216, 170, 160), *[(58, 46, 40)] * 4], np.float32
        )
    return np.array(
        [(244, 158, 168), (248, 168, 178), (214, 108, 124), *[(226, 136, 150)] * 4], np.float32
    )

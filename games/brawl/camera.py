"""Camera: the third-person view behind a fighter, and where places of the arena lie on its picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from games.brawl.fighter import Fighter

DISTANCE = 8.2
"""Meters from the camera to what it looks at."""
LOOK_HEIGHT, LOOK_ASIDE = 2.5, 0.7
"""Where it looks: above the fighter's feet and to the right of them, so that the fighter hides little ahead."""
HALF_FIELD = math.radians(29)
"""Half the vertical field of view."""
NEAR = 0.6
"""Meters before the camera at which everything is cut off."""


@dataclass
class Camera:
    """A pinhole camera; `depth` is along its axis, the picture's origin is at the top left."""

    width: int
    height: int
    x: float
    y: float
    z: float
    yaw: float
    pitch: float
    focal: float = field(init=False)
    horizon: float = field(init=False)
    """Row of the horizon, which may lie above the picture."""

    def __post_init__(self) -> None:
        self.focal = self.height / 2 / math.tan(HALF_FIELD)
        self.horizon = self.height / 2 - self.focal * math.tan(self.pitch)
        self._sin, self._cos = math.sin(self.yaw), math.cos(self.yaw)
        self._down, self._level = math.sin(self.pitch), math.cos(self.pitch)

    @classmethod
    def behind(cls, f: Fighter, width: int, height: int) -> Camera:
        """The camera of a fighter's player."""
        level = DISTANCE * math.cos(f.pitch)
        sin, cos = math.sin(f.yaw), math.cos(f.yaw)
        x = f.x - sin * level + cos * LOOK_ASIDE
        y = f.y - cos * level - sin * LOOK_ASIDE
        z = 0.5 * f.z + LOOK_HEIGHT + DISTANCE * math.sin(f.pitch)
        return cls(width, height, x, y, z, f.yaw, f.pitch)

    def project(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Column, row and depth of a place; column and row mean nothing where the depth is below `NEAR`."""
        dx, dy, dz = x - self.x, y - self.y, z - self.z
        ahead = dx * self._sin + dy * self._cos
        depth = ahead * self._level - dz * self._down
        scale = self.focal / max(depth, NEAR)
        up = dz * self._level + ahead * self._down
        column = self.width / 2 + (dx * self._cos - dy * self._sin) * scale
        return column, self.height / 2 - up * scale, depth

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """3 x 4: places (x, y, z, 1) to (column * depth, row * depth, depth)."""
        rows = np.array(
            [
                [self._cos, -self._sin, 0.0],
                [-self._sin * self._down, -self._cos * self._down, -self._level],
                [self._sin * self._level, self._cos * self._level, -self._down],
            ]
        )
        screen = np.array(
            [[self.focal, 0, self.width / 2], [0, self.focal, self.height / 2], [0, 0, 1]]
        )
        turned = screen @ rows
        moved = -turned @ np.array([self.x, self.y, self.z])
        return np.column_stack([turned, moved])

    def ground_under(self, top: int) -> NDArray[np.float64]:
        """3 x 3: pixels (column, row - top, 1) to (x, y, 1) / depth of the ground that they show.

        A pixel's ray runs `right` and `below` to the sides for each unit of depth; both are rows over those pixels.
        """
        fine, axis = 1 / self.focal, np.array([0.0, 0.0, 1.0])
        right = np.array([fine, 0.0, -self.width / 2 * fine])
        below = np.array([0.0, fine, (top - self.height / 2) * fine])
        inverse_depth = (self._level * below + self._down * axis) / self.z
        ahead = self._level * axis - self._down * below
        return np.stack([
            self.x * inverse_depth + self._cos * right + self._sin * ahead,
            self.y * inverse_depth + self._cos * ahead - self._sin * right,
            inverse_depth,
        ])  # fmt: skip

"""Player: position, view and inventory, with Minecraft's walking, jumping and falling at 20 steps a second."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from games.spec import Action
from games.voxel import blocks as b
from games.voxel.render import Pose
from games.voxel.world import SIZE, World

HALF_WIDTH, TALL, EYE = 0.3, 1.8, 1.62
WALK, SPRINT, SNEAK = 0.216, 0.281, 0.065  # blocks per step
_GRAVITY, _DRAG, _JUMP, _WADE = 0.08, 0.98, 0.42, 0.6
_GRIP = 0.55  # share of the difference to the wanted velocity gained per step


@dataclass
class Player:
    """Feet position in blocks, view angles in degrees, and what has been collected."""

    x: float
    y: float
    z: float
    yaw_deg: float
    pitch_deg: float = 0.0
    vx: float = 0.0
    vy: float = 0.0
    vz: float = 0.0
    on_ground: bool = True
    inventory: dict[str, int] = field(default_factory=dict)
    collected: list[str] = field(default_factory=list)
    """Item names in the order they were picked up."""

    @property
    def pose(self) -> Pose:
        return Pose(self.x, self.y + EYE, self.z, self.yaw_deg, self.pitch_deg)

    @property
    def look(self) -> tuple[float, float, float]:
        """The unit direction the player looks along."""
        yaw, pitch = math.radians(self.yaw_deg), math.radians(self.pitch_deg)
        level = math.cos(pitch)
        return (-math.sin(yaw) * level, -math.sin(pitch), math.cos(yaw) * level)

    def collect(self, item: str) -> None:
        self.inventory[item] = self.inventory.get(item, 0) + 1
        self.collected.append(item)

    def step(self, world: World, action: Action) -> None:
        """Turn, then move for one step under a legal action."""
        pitch, yaw = action["camera"]
        self.yaw_deg = (self.yaw_deg + yaw + 180) % 360 - 180
        self.pitch_deg = max(-90.0, min(90.0, self.pitch_deg + pitch))
        self._steer(world, action)
        if action["jump"] and self.on_ground:
            self.vy = _JUMP
        self._slide(world)
        self.vy = (self.vy - _GRAVITY) * _DRAG

    def _steer(self, world: World, action: Action) -> None:
        ahead = action["forward"] - action["back"]
        aside = action["right"] - action["left"]
        norm = math.hypot(ahead, aside) or 1.0
        speed = SNEAK if action["sneak"] else SPRINT if action["sprint"] and ahead > 0 else WALK
        if world.blocks[int(self.x), int(self.y + 0.1), int(self.z)] == b.WATER:
            speed *= _WADE
        yaw = math.radians(self.yaw_deg)
        wish_x = (-math.sin(yaw) * ahead - math.cos(yaw) * aside) / norm * speed
        wish_z = (math.cos(yaw) * ahead - math.sin(yaw) * aside) / norm * speed
        self.vx += (wish_x - self.vx) * _GRIP
        self.vz += (wish_z - self.vz) * _GRIP

    def _slide(self, world: World) -> None:
        """Move along one axis after the other and stop at what is solid."""
        rim = 1.0 + HALF_WIDTH + 0.05
        x = max(rim, min(SIZE - rim, self.x + self.vx))
        if self._free(world, x, self.y, self.z):
            self.x = x
        else:
            self.vx = 0.0
        z = max(rim, min(SIZE - rim, self.z + self.vz))
        if self._free(world, self.x, self.y, z):
            self.z = z
        else:
            self.vz = 0.0
        y = self.y + self.vy
        self.on_ground = False
        if self._free(world, self.x, y, self.z):
            self.y = y
            return
        if self.vy < 0:
            self.on_ground = True
            floor = float(math.floor(self.y + 1e-6))
            if self._free(world, self.x, floor, self.z):
                self.y = floor
        self.vy = 0.0

    def _free(self, world: World, x: float, y: float, z: float) -> bool:
        """Whether the body fits at this position."""
        blocks = world.blocks
        for ix in {int(x - HALF_WIDTH), int(x + HALF_WIDTH)}:
            for iz in {int(z - HALF_WIDTH), int(z + HALF_WIDTH)}:
                for iy in range(int(y), min(int(y + TALL) + 1, blocks.shape[1])):
                    if blocks[ix, iy, iz] not in b.PASSABLE:
                        return False
        return True

    def overlaps(self, x: int, y: int, z: int) -> bool:
        """Whether the body reaches into a cell."""
        return (
            x - HALF_WIDTH < self.x < x + 1 + HALF_WIDTH
            and z - HALF_WIDTH < self.z < z + 1 + HALF_WIDTH
            and y - TALL < self.y < y + 1
        )

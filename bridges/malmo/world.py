"""World of a mission: the embedded block world as one agent of it plays and sees it.

The world of a seed is that of `iafm evaluate voxel` with the same seed, its start included. Pictures show the block
world's own view, 62° high and 16 to 9 wide, stretched to the mission's size by the project's one way of resizing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from bridges.malmo.commands import Inputs, Keys
from bridges.malmo.inventory import ITEM_NAMES, ITEM_NAMES_1_16, Inventory
from bridges.malmo.mission import Mission
from bridges.malmo.observation import distance, information
from bridges.malmo.rewards import Rewards
from bridges.malmo.wire import Command
from games.env import Frame
from games.resize import resize_frame
from games.voxel import FREE, VoxelEnv
from games.voxel import blocks as b
from games.voxel.player import HALF_WIDTH, TALL
from games.voxel.spec import SPEC
from games.voxel.world import World

DETAILS = (1, 3, 5)
"""Rays along either side of a pixel of the game's frame, 128 x 72; odd, so that one goes through its middle."""
DETAIL = 3
BLOCK_NAMES = {b.LOG: "log", b.GOLD: "gold_block", b.LAPIS: "lapis_block", b.BRICK: "brick_block"} | {
    kind: b.BLOCKS[kind].name
    for kind in (b.GRASS, b.DIRT, b.STONE, b.SAND, b.SNOW, b.WATER, b.LEAVES, b.BEDROCK)
}  # fmt: skip
_TOUCH = 0.16
"""Blocks within which a player touches what is beside it: the world stops one so far before a wall, from a sprint."""


@dataclass(frozen=True)
class Outcome:
    """What a step led to."""

    reward: float
    done: bool
    unknown: tuple[str, ...]
    """What it asked for and this world has not."""


class AgentWorld:
    """One agent in the world of its mission.

    `detail` bounds the rays of a picture, which is enlarged where it is larger: of 3, beyond 384 x 216. `blocks` are
    another agent's, which both then dig in.
    """

    def __init__(
        self,
        mission: Mission,
        seed: int,
        detail: int = DETAIL,
        blocks: World | None = None,
    ) -> None:
        self.mission, self.agent = mission, mission.agent
        self.steps, self.total, self.done = 0, 0.0, False
        self._keys = Keys()
        self._rewards = Rewards(self.agent)
        self._names = ITEM_NAMES_1_16 if mission.version == 1 else ITEM_NAMES
        self._inventory = Inventory(self.agent.inventory)
        self._env = VoxelEnv()
        self._env.picture_detail = min(self._wanted_detail(), detail)
        self._env.reset(seed=seed % 2**63, options={"task": FREE})
        if blocks is not None:
            self._env.world = blocks
        player = self._env.player
        for item, name in self._names.items():
            if count := self._inventory.count(name):
                player.inventory[item] = count
        self._target = self._compass_target()
        self._rewards.is_away(distance(player, self._target))

    @property
    def blocks(self) -> World:
        """The blocks that it plays in."""
        return self._env.world

    def pixels(self) -> bytes:
        """The picture of the newest step: rows from the bottom up, three bytes a pixel."""
        video = self.agent.video
        picture: Frame = resize_frame(self._env.native_frame, video.height, video.width)
        return picture[::-1].tobytes()

    def info(self) -> dict[str, Any]:
        """What the agent is told beside the picture."""
        player = self._env.player
        return information(self.mission, self.agent, player, self._inventory, self._target)

    def step(self, commands: tuple[Command, ...]) -> Outcome:
        """One tick; raises `WireError` where a command cannot be read."""
        inputs = self._keys.apply(commands)
        self._use_inventory(inputs)
        player = self._env.player
        before = dict(player.inventory)
        self._env.step(inputs.action)
        reward = sum(
            self._items_changed(item, player.inventory.get(item, 0) - before.get(item, 0))
            for item in player.inventory
        )
        reward += self._rewards.touches(self._touched())
        reward += self._rewards.is_away(distance(player, self._target))
        self.steps, self.total = self.steps + 1, self.total + reward
        limit = self.mission.max_steps
        self.done = self._rewards.over or (limit is not None and self.steps >= limit)
        return Outcome(reward, self.done, tuple(inputs.unknown))

    def _wanted_detail(self) -> int:
        """The least odd number of rays that gives every pixel of the mission's picture one."""
        video, frame = self.agent.video, SPEC.frame
        wanted = max(math.ceil(video.height / frame.height), math.ceil(video.width / frame.width))
        return wanted | 1

    def _use_inventory(self, inputs: Inputs) -> None:
        """Change what is in the hand, and let the hand place dirt, throw a snowball or do nothing."""
        inventory = self._inventory
        if inputs.slot is not None:
            inventory.selected = inputs.slot
        if inputs.equip is not None:
            inventory.equip(*inputs.equip)
        if inputs.action["use"]:
            held = inventory.held
            inputs.action["use"] = int(held.type == "dirt")
            if held.type == "snowball":
                inventory.remove("snowball")
                self._rewards.lost("snowball", 1)
            elif held.quantity and held.type != "dirt":
                inputs.unknown.append(f"use {held.type}")
        if inputs.place == "dirt":
            inputs.action["use"] = 1
        elif inputs.place is not None:
            inputs.unknown.append(f"place {inputs.place}")

    def _items_changed(self, item: str, change: int) -> float:
        """Bring the slots up to what the block world's player has; the reward for what came."""
        name = self._names[item]
        if change > 0:
            self._inventory.add(name, change)
            return self._rewards.gained(name, change)
        if change < 0:
            self._inventory.remove(name, -change)
            self._rewards.lost(name, -change)
        return 0.0

    def _touched(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Names and cells of the blocks that the body touches; none where the mission asks for none."""
        if not (self.agent.block_rewards or self.agent.quits_at_blocks):
            return []
        player, wide = self._env.player, HALF_WIDTH + _TOUCH
        xs = range(math.floor(player.x - wide), math.floor(player.x + wide) + 1)
        ys = range(math.floor(player.y - _TOUCH), math.floor(player.y + TALL) + 1)
        zs = range(math.floor(player.z - wide), math.floor(player.z + wide) + 1)
        cells = [(x, y, z) for x in xs for y in ys for z in zs]
        kinds = [(int(self._env.world.blocks[cell]), cell) for cell in cells]
        return [(self._name(kind), cell) for kind, cell in kinds if kind in BLOCK_NAMES]

    def _name(self, kind: int) -> str:
        """A block's name; the gold pillar is made of whatever the mission is to find."""
        if kind == b.GOLD and self.mission.target_block:
            return self.mission.target_block
        return BLOCK_NAMES[kind]

    def _compass_target(self) -> tuple[float, float, float]:
        """The foot of the gold pillar in a mission that is to find something, else where the player starts."""
        player = self._env.player
        if self.mission.target_block is None:
            return (player.x, player.y, player.z)
        x, z = self._env.world.landmarks[b.GOLD]
        ground = self._env.world.ground(x - 2, z)
        return (x, ground + 1.0, z)

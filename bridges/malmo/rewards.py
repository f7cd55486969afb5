"""Rewards and ends of a mission: what an agent gains, loses, touches and comes nearer to.

Counted as Minecraft's mod does: items that an agent has at the start count neither for a reward nor for an end, and
what it lost and gained again is rewarded once only, where the mission says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from bridges.malmo.mission import Agent


class Rewards:
    """The rewards of one agent over a mission; `over` as soon as it has what the mission was for."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._possessed: Counter[str] = Counter()
        self._most: Counter[str] = Counter()
        self._touched: set[tuple[str, tuple[int, int, int] | None]] = set()
        self._away: float | None = None
        self.over = False

    def gained(self, item: str, quantity: int) -> float:
        """The reward for items picked up."""
        now, most = self._possessed[item] + quantity, self._most[item]
        reward = 0.0
        rewards = self._agent.item_rewards
        for spec in rewards.items:
            if spec.type != item:
                continue
            if rewards.sparse:
                crossings = int(most < spec.amount <= now)
            elif rewards.exclude_loops:
                crossings = max(0, now // spec.amount - most // spec.amount)
            else:
                crossings = quantity // spec.amount
            reward += spec.reward * crossings
        self._possessed[item], self._most[item] = now, max(most, now)
        wanted = self._agent.quits_with_items
        self.over |= any(spec.type == item and now >= spec.amount for spec in wanted)
        return reward

    def lost(self, item: str, quantity: int) -> None:
        """Items that were placed or thrown."""
        self._possessed[item] -= quantity

    def touches(self, blocks: Collection[tuple[str, tuple[int, int, int]]]) -> float:
        """The reward for the blocks touched in a step: their names and cells."""
        reward = 0.0
        for spec in self._agent.block_rewards:
            for name, cell in blocks:
                if name == spec.type:
                    each = (name, cell if spec.behaviour == "oncePerBlock" else None)
                    if each not in self._touched or spec.behaviour == "constant":
                        reward += spec.reward
                    self._touched.add(each)
        self.over |= any(name in self._agent.quits_at_blocks for name, _ in blocks)
        return reward

    def is_away(self, blocks: float) -> float:
        """The reward for coming nearer to the compass' target, which is `blocks` away now."""
        nearer = 0.0 if self._away is None else self._away - blocks
        self._away = blocks
        return self._agent.reward_per_block * nearer

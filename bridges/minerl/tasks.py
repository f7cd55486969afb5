"""Tasks of MineRL: their instructions in words, and their judgement by rewards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bridges.minerl.options import TaskOptions
from games.minecraft import BASALT_INSTRUCTIONS

INSTRUCTIONS = {
    "Treechop": "chop a tree",
    "Navigate": "go to the diamond block that the compass points to",
    "ObtainDiamondShovel": "obtain a diamond shovel",
    "ObtainDiamond": "obtain a diamond",
    "ObtainIronPickaxe": "obtain an iron pickaxe",
    **{f"Basalt{name}": words for name, words in BASALT_INSTRUCTIONS.items()},
}
"""By the beginning of a task's name after `MineRL`."""


@dataclass(frozen=True)
class Judge:
    """Judgement of an episode by its rewards."""

    reward: float | None
    """The sum at which it has succeeded."""
    by_minerl: Callable[[list[float]], bool] | None = None
    """MineRL's own judgement where there is no sum; None: the task has none."""
    is_goal: bool = False
    """Whether an episode ends with its success; else MineRL ends it."""

    @property
    def has_verdict(self) -> bool:
        """Whether episodes succeed or fail at all."""
        return self.reward is not None or self.by_minerl is not None

    def success(self, rewards: Sequence[float]) -> bool | None:
        """Whether the rewards so far are a success; None where the task has no judgement."""
        if self.reward is not None:
            return sum(rewards) >= self.reward
        return None if self.by_minerl is None else bool(self.by_minerl(list(rewards)))

    def ends(self, rewards: Sequence[float]) -> bool:
        """Whether the episode ends here, by its success."""
        return self.is_goal and bool(self.success(rewards))


def judge(spec: Any, options: TaskOptions) -> Judge:
    """The judge of a task: the sum that is asked for, its threshold, or what its `EnvSpec` says about rewards.

    A task without reward handlers has none: MineRL calls all of its episodes a success, or a failure.
    """
    if options.reward is not None:
        return Judge(options.reward, is_goal=True)
    if spec.reward_threshold is not None:
        return Judge(float(spec.reward_threshold))
    return Judge(None, spec.determine_success_from_rewards if spec.rewardables else None)


def instruction(task: str) -> str:
    """A task in words; "" where it has no goal."""
    name = task.removeprefix("MineRL")
    return next((words for known, words in INSTRUCTIONS.items() if name.startswith(known)), "")

"""Brawl expert: a scripted player that sees the frame's pixels and the instruction's meaning, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable

from games.brawl.env import BrawlEnv
from games.brawl.order import Order
from games.brawl.reader import read
from games.brawl.skill import EXPERT
from games.brawl.tactics import Tactics
from games.brawl.tasks import ORDERS, Goal
from games.env import Frame
from games.spec import Action


class Expert:
    """A scripted player for one goal; `act` gives the next action and the thought behind it.

    It does what its instruction says, which may be another order than the judge's.
    """

    def __init__(self, goal: Goal, seed: int = 0) -> None:
        order = ORDERS.get(goal.instruction, goal.order) if goal.instruction else Order("wait")
        self._player = Tactics(EXPERT, random.Random(seed), order)

    def act(self, frame: Frame) -> tuple[Action, str]:
        """The action for a frame, and a short thought."""
        if self._player.order.kind == "wait":
            return self._player.act(read(frame))[0].action, "no instruction: wait"
        command, thought = self._player.act(read(frame))
        return command.action, thought


def scripted_expert(env: BrawlEnv) -> Callable[[], tuple[Action, str]]:
    """The expert for the episode that an environment has just begun."""
    expert = Expert(env.goal, env.match.seed)
    return lambda: expert.act(env.frame)

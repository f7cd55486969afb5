"""Brawl expert: a scripted player that sees the frame's pixels and the instruction's meaning, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable

from games.brawl.command import REST, Command
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
        self._command = REST

    def act(self, frame: Frame, done: Command | None = None) -> tuple[Action, str]:
        """The action for a frame, and a short thought.

        `done` is what was really done at the step before, where that is known. If it was something else, such as an
        agent's action that the expert only comments on, what the expert remembers of its way is void.
        """
        if done is not None and done != self._command:
            self._player.course.forget()
        self._command, thought = self._player.act(read(frame))
        if self._player.order.kind == "wait":
            thought = "no instruction: wait"
        return self._command.action, thought


def scripted_expert(env: BrawlEnv) -> Callable[[], tuple[Action, str]]:
    """The expert for the episode that an environment has just begun."""
    expert = Expert(env.goal, env.match.seed)

    def act() -> tuple[Action, str]:
        done = env.bout.commands[-1][env.seat] if env.elapsed else None
        return expert.act(env.frame, done)

    return act

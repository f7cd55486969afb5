"""Game: an entry of the registry, a spec and, where it can be started from here, its environment and expert."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from games.env import Env
from games.spec import Action, GameSpec, did_you_mean
from games.team import TeamGame

Expert = Callable[[], tuple[Action, str]]
"""A scripted player of the current episode: its next action, and the thought behind it in words."""


class UnplayableError(LookupError):
    """A known game that lacks what was asked for; the message names it."""


@dataclass(frozen=True)
class Game:
    """One entry of the registry; `make` is None where a game can only be recorded or attached over a bridge."""

    spec: GameSpec
    make: Callable[[], Env] | None = None
    tasks: tuple[str, ...] = ()
    make_expert: Callable[[Any], Expert] | None = None
    """From an environment of `make` that was just reset: a scripted player that uses only what is on the screen."""
    exclusive_instructions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Instructions of tasks that exclude each other; evaluation compares play with the right one, none and another."""
    other_judge: Callable[[Any, str], Callable[[], bool]] | None = None
    """From an environment that was just reset and another task's instruction: whether that is done, asked after each
    step. Where None, evaluation resets a second environment with that task, whose world must be the same."""
    has_missions: bool = False
    """Every seed has an instruction of its own; evaluation compares play with it, none and another seed's."""
    from_vector: Callable[[Sequence[float]], Action] | None = None
    """From a row of numbers of a public dataset; where None, the numbers are in the controls' order."""
    free_task: str | None = None
    """The task without instruction and success, in which the expert waits."""
    teams: TeamGame | None = None
    """Matches of a team of agents against bots."""
    max_envs: int | None = None
    """Environments that can run at once, as where each needs a process of its own; None: any number."""

    def expert(self) -> Callable[[Any], Expert]:
        """`make_expert`; raises `UnplayableError` where the game has none."""
        if self.make_expert is None:
            raise UnplayableError(f"{self.spec.name} has no scripted expert (Game.make_expert)")
        return self.make_expert

    def select_tasks(self, tasks: Sequence[str] = ()) -> tuple[str, ...]:
        """These tasks, all where none is named; raises `UnplayableError` for one that the game does not have."""
        for task in tasks:
            if task not in self.tasks:
                name = self.spec.name
                raise UnplayableError(f"no task {task!r} in {name}{did_you_mean(task, self.tasks)}")
        return tuple(tasks) or self.tasks

"""What does the registry hold? A spec and, where the game can be started from here, the way to start and to play it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from games.env import Env
from games.spec import Action, GameSpec, did_you_mean

Expert = Callable[[], tuple[Action, str]]
"""A scripted player of the episode under way: its next action, and the thought behind it in words."""


class UnplayableError(LookupError):
    """A known game cannot do here what was asked of it; the message says what is missing."""


@dataclass(frozen=True)
class Game:
    """One entry of the registry; `make` is None where a game can only be recorded or attached over a bridge."""

    spec: GameSpec
    make: Callable[[], Env] | None = None
    tasks: tuple[str, ...] = ()
    make_expert: Callable[[Any], Expert] | None = None
    """A scripted player for an environment of `make` that was just reset; it should see only what is on the screen."""
    exclusive_instructions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The words of tasks that exclude each other: what a player does without them, or with another's, is telling."""
    from_vector: Callable[[Sequence[float]], Action] | None = None
    """An action from a row of numbers in public recordings; the controls' order where None."""
    free_task: str | None = None
    """The task without words and without a judge, in which the expert waits."""

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

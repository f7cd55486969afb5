"""Team match contract: four against four and the like, one team played by agents, the other by bots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from games.env import Frame
from games.spec import Action


class TeamMatch(Protocol):
    """A match under way; its players are those of one team, in the order of their seats."""

    @property
    def is_over(self) -> bool: ...

    @property
    def result(self) -> float:
        """1 where the players' team won, 0.5 for a draw, else 0."""
        ...

    @property
    def seats(self) -> tuple[int, ...]:
        """The players' seats."""
        ...

    def frames(self) -> list[Frame]:
        """What each player sees."""
        ...

    def step(self, actions: Sequence[Action]) -> None:
        """One step, an action for each player."""
        ...

    def expert_actions(self, frames: Sequence[Frame]) -> list[Action]:
        """What the scripted expert would do in each player's place; it sees the frames alone."""
        ...

    def play_bots(self) -> None:
        """One step in which bots play the players' seats too."""
        ...


@dataclass(frozen=True)
class TeamGame:
    """How matches of a team against bots begin."""

    make: Callable[[int, str, str], TeamMatch]
    """From a seed, the grade of the bots against the players, and that of bots in the players' place."""
    grades: tuple[str, ...]
    """Grades of the bots, from the weakest on."""
    size: int
    """Players of a team."""
    instructions: tuple[str, ...]
    """What players are told who are to win the match."""

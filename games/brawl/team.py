"""Brawl's team match: four players of one team, bots of a grade on the other; sides change with the seed."""

from __future__ import annotations

from collections.abc import Sequence

from games.brawl.bout import Bout
from games.brawl.command import command_of
from games.brawl.expert import Expert
from games.brawl.fighter import TEAM_SIZE
from games.brawl.order import WIN
from games.brawl.picture import draw
from games.brawl.skill import GRADES
from games.brawl.tasks import TASKS, Goal
from games.env import Frame
from games.spec import Action
from games.team import TeamGame

_WORDS = TASKS["win_match"].sentences


class BrawlTeamMatch:
    """A whole match. With an even seed the players are team 0, else team 1."""

    def __init__(self, seed: int, enemies: str, allies: str = "regular") -> None:
        """`enemies` and `allies` are grades; bots of the second play where `play_bots` is asked for."""
        self.team = seed % 2
        skills = [GRADES[allies], GRADES[enemies]]
        self.bout = Bout(seed, skills[::-1] if self.team else skills)
        first = self.team * TEAM_SIZE
        self.seats = tuple(range(first, first + TEAM_SIZE))
        goal = Goal("win_match", _WORDS[0], WIN)
        self._experts = [Expert(goal, seed * 2 * TEAM_SIZE + seat) for seat in self.seats]

    @property
    def is_over(self) -> bool:
        return self.bout.match.is_over

    @property
    def result(self) -> float:
        winner = self.bout.match.winner
        return 0.5 if winner is None else float(winner == self.team)

    def frames(self) -> list[Frame]:
        """The pictures of the four seats."""
        return [draw(self.bout.match, seat) for seat in self.seats]

    def step(self, actions: Sequence[Action]) -> None:
        """A tenth of a second; raises `ActionError` for an illegal action."""
        commands = [command_of(action) for action in actions]
        self.bout.step(dict(zip(self.seats, commands, strict=True)))

    def expert_actions(self, frames: Sequence[Frame]) -> list[Action]:
        """Actions of four scripted experts that are to win."""
        pairs = zip(self._experts, frames, strict=True)
        return [expert.act(frame)[0] for expert, frame in pairs]

    def play_bots(self) -> None:
        """A step of eight bots."""
        self.bout.step({})


TEAMS = TeamGame(BrawlTeamMatch, tuple(GRADES), TEAM_SIZE, _WORDS)

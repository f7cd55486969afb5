"""Bout: a match with players on its seats; bots play those that nobody takes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from games.brawl.command import Command
from games.brawl.fighter import SEATS, TEAM_SIZE
from games.brawl.match import Match
from games.brawl.sight import sight_of
from games.brawl.skill import Skill
from games.brawl.tactics import Tactics


class Bout:
    """A match that is shared by all who play in it; `step` takes the commands of the seats that are taken."""

    def __init__(self, seed: int, skills: Sequence[Skill]) -> None:
        """`skills` are those of the two teams' bots."""
        self.match = Match(seed)
        self.skills = tuple(skills)
        self.bots = [
            Tactics(skills[seat // TEAM_SIZE], random.Random(seed * SEATS + seat))
            for seat in range(SEATS)
        ]
        self.commands: list[list[Command]] = []
        """What all eight seats did in each step so far."""

    def step(self, commands: Mapping[int, Command]) -> list[Command]:
        """One step; returns the commands of all eight seats."""
        match = self.match
        played = [
            commands[seat] if seat in commands else self._command(seat) for seat in range(SEATS)
        ]
        match.step(played)
        self.commands.append(played)
        return played

    def _command(self, seat: int) -> Command:
        """What the bot of a seat does; it looks around where it decides anew alone."""
        bot = self.bots[seat]
        held = bot.hold(is_up=self.match.fighters[seat].alive)
        return held if held is not None else bot.act(sight_of(self.match, seat))[0]

"""State of a match: fighters, what flies and lies about, objectives, and what happened lately."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from games.brawl.arena import Arena, arena
from games.brawl.classes import LINE_UP, Ability
from games.brawl.events import Event
from games.brawl.fighter import SEATS, TEAM_SIZE, TICK_HZ, Fighter
from games.brawl.objectives import KILL_SCORE, Objectives
from games.brawl.themes import THEMES

MATCH_SECONDS = 180
SCORE_TO_WIN = 100


@dataclass(slots=True)
class Bolt:
    """A projectile."""

    x: float
    y: float
    z: float
    vx: float
    vy: float
    until: int
    by: int
    ability: Ability
    slot: int


@dataclass(slots=True)
class Zone:
    """A field on the ground that heals."""

    x: float
    y: float
    until: int
    by: int
    team: int
    ability: Ability


class MatchState:
    """Everything of a match that a step may change."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.seed = seed
        self.arena: Arena = arena(int(rng.integers(len(THEMES))))
        self.objectives = Objectives(self.arena)
        self.fighters = [
            Fighter(seat, seat // TEAM_SIZE, LINE_UP[seat % TEAM_SIZE]) for seat in range(SEATS)
        ]
        self.bolts: list[Bolt] = []
        self.zones: list[Zone] = []
        self.events: list[Event] = []
        self.tick = 0

    @property
    def score(self) -> list[int]:
        """Points of both teams."""
        return self.objectives.score

    @property
    def seconds_left(self) -> float:
        return max(0.0, MATCH_SECONDS - self.tick / TICK_HZ)

    @property
    def is_over(self) -> bool:
        return self.seconds_left == 0 or max(self.score) >= SCORE_TO_WIN

    @property
    def winner(self) -> int | None:
        """The team ahead; None where it is a draw."""
        one, other = self.score
        return None if one == other else int(other > one)

    def note(self, event: Event) -> None:
        """Remember what happened for a while."""
        self.events.append(event)

    def score_kill(self, by: Fighter, fallen: Fighter) -> None:
        """A fighter fell: its cells drop, the other team scores."""
        self.objectives.drop(fallen)
        self.score[by.team] += KILL_SCORE

    def locked(self, f: Fighter) -> Fighter | None:
        """The fighter that the lock-on is on."""
        return self.fighters[f.lock] if f.lock >= 0 else None

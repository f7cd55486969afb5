"""Skill: how well a player plays, three grades of bots and the scripted expert, as data."""

from __future__ import annotations

from dataclasses import dataclass

from games.brawl.command import ROTATIONS


@dataclass(frozen=True)
class Skill:
    """What a player does of what it could; shares are per step of play."""

    name: str
    reaction: int
    """Steps for which it keeps doing what it decided."""
    wobble: float
    """Radians by which its sticks miss, at one standard deviation."""
    ability_share: float
    """Share of the chances for an ability that it takes."""
    dodge_share: float
    """Share of the hits after which it dodges."""
    retreat_below: float
    """Health below which it goes home."""
    attack_share: float
    """Share of the steps in reach of an enemy in which it attacks."""
    heal_below: float
    """Health of an ally below which a support heals it."""
    picks_targets: bool
    """Whether it goes for supports and the wounded instead of the nearest."""
    rides: bool
    directions: int = ROTATIONS
    """Directions in which it pushes its left stick."""
    is_plain: bool = False
    """Whether the side on which it circles what it meets follows from the picture, not from memory or chance."""


ROOKIE = Skill("rookie", 7, 0.4, 0.1, 0.0, 0.0, 0.45, 0.35, picks_targets=False, rides=False)
REGULAR = Skill("regular", 4, 0.2, 0.25, 0.1, 0.12, 0.75, 0.55, picks_targets=False, rides=True)
VETERAN = Skill("veteran", 1, 0.0, 0.9, 0.3, 0.22, 1.0, 0.75, picks_targets=True, rides=True)
GRADES = {skill.name: skill for skill in (ROOKIE, REGULAR, VETERAN)}
"""The bots, from the weakest to the strongest."""
EXPERT = Skill(
    "expert", 1, 0.0, 0.9, 0.5, 0.0, 1.0, 0.75,
    picks_targets=True, rides=True, directions=16, is_plain=True,
)  # fmt: skip
"""The scripted expert: as good as the best bots, but it does not leave its task to get well. It is there to be learned
from: it steers in steps of 22°, for which fewer examples do than for steps of 1.4°, and its sides can be seen."""

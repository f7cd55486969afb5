"""Classes of fighters and their abilities, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Effect = Literal[
    "strike", "bolt", "dash", "guard", "pull", "burst", "heal", "field", "haste", "rage"
]
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Ability:
    """One ability. Times are seconds, lengths meters, `power` is damage or healing (a field's: per second)."""

    name: str
    effect: Effect
    cooldown: float
    power: float = 0.0
    reach: float = 0.0
    """How far it goes; a burst's and a field's radius."""
    duration: float = 0.0
    """Of what it leaves behind: guard, haste, rage, field."""
    stun: float = 0.0
    heals: bool = False
    """Whether it works on allies instead of enemies."""
    color: Color = (255, 255, 255)


@dataclass(frozen=True)
class FighterClass:
    """A class: its body, its melee attack and its three abilities and super ability."""

    name: str
    title: str
    health: float
    speed: float
    """Meters a second at a run."""
    radius: float
    height: float
    attack: Ability
    abilities: tuple[Ability, Ability, Ability, Ability]
    """Special abilities 1 to 3, and the super ability, whose cooldown is how fast it charges by itself."""


TANK = FighterClass(
    name="tank",
    title="Bulwark",
    health=300,
    speed=5.0,
    radius=0.65,
    height=2.25,
    attack=Ability("hammer", "strike", 0.75, power=18, reach=3.0, color=(255, 236, 190)),
    abilities=(
        Ability("charge", "dash", 7, power=16, reach=6.5, stun=0.6, color=(255, 214, 120)),
        Ability("guard", "guard", 10, duration=2.5, color=(140, 200, 255)),
        Ability("hook", "pull", 11, power=10, reach=11, color=(230, 200, 120)),
        Ability("quake", "burst", 50, power=55, reach=5.5, stun=1.2, color=(255, 190, 90)),
    ),
)
SUPPORT = FighterClass(
    name="support",
    title="Mender",
    health=180,
    speed=5.4,
    radius=0.5,
    height=1.95,
    attack=Ability("spark", "bolt", 0.55, power=10, reach=13, color=(170, 255, 190)),
    abilities=(
        Ability("mend", "heal", 4, power=52, reach=12, heals=True, color=(120, 255, 150)),
        Ability("spring", "field", 12, power=17, reach=3.6, duration=4, heals=True,
                color=(90, 240, 150)),
        Ability("tailwind", "haste", 13, reach=9, duration=3.5, heals=True, color=(170, 250, 255)),
        Ability("renewal", "burst", 55, power=110, reach=10, heals=True, color=(190, 255, 170)),
    ),
)  # fmt: skip
DAMAGE = FighterClass(
    name="damage",
    title="Shade",
    health=175,
    speed=5.8,
    radius=0.5,
    height=1.9,
    attack=Ability("blades", "strike", 0.38, power=13, reach=2.5, color=(230, 220, 255)),
    abilities=(
        Ability("lunge", "dash", 5.5, power=24, reach=7.5, color=(214, 150, 255)),
        Ability("star", "bolt", 5, power=28, reach=17, color=(222, 180, 255)),
        Ability("whirl", "burst", 8, power=30, reach=3.4, color=(200, 140, 255)),
        Ability("frenzy", "rage", 50, power=1.7, duration=5, color=(255, 110, 200)),
    ),
)
CLASSES = (TANK, SUPPORT, DAMAGE)
LINE_UP = (TANK, SUPPORT, DAMAGE, DAMAGE)
"""The classes of a team's four seats."""

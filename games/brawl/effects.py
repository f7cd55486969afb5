"""Effects: sparks, shock waves, numbers and what else shows that something happened, from a match's events alone.

All motion comes from an event's age and its place in a fixed table of directions: no state, no randomness.
"""

from __future__ import annotations

import math

import pygame

from games.brawl import marks
from games.brawl.camera import NEAR, Camera
from games.brawl.classes import Ability
from games.brawl.events import Event
from games.brawl.fighter import Fighter
from games.brawl.glyphs import centered, text
from games.brawl.objectives import CELL_SCORE
from games.brawl.palette import ALLY, ENEMY, GOLD, GREEN, RED, WHITE, Color
from games.brawl.state import MatchState

_SPARK_TICKS, _NUMBER_TICKS, _WAVE_TICKS, _FALL_TICKS = 7, 18, 9, 22
_DIRECTIONS = tuple(
    (math.sin(i * 2.399), math.cos(i * 2.399), 0.4 + (i * 0.618) % 1 * 0.6) for i in range(24)
)
"""Directions by the golden angle, and how fast each spark flies."""
_ADD = pygame.BLEND_RGB_ADD


def ability_of(f: Fighter, slot: int) -> Ability:
    """The ability of a slot, 0 is the melee attack."""
    return f.kind.attack if slot == 0 else f.kind.abilities[slot - 1]


def draw_waves(surface: pygame.Surface, match: MatchState, camera: Camera, team: int) -> None:
    """What spreads on the ground under the fighters."""
    unit = max(1, camera.height // 180)
    for e in match.events:
        age = match.tick - e.tick
        if e.kind == "cast" and age < _WAVE_TICKS:
            ability = ability_of(match.fighters[e.seat], e.slot)
            if ability.effect in ("burst", "haste"):
                share = (age + 1) / _WAVE_TICKS
                radius = ability.reach * (0.25 + 0.75 * share)
                alpha = round(110 * (1 - share))
                marks.disc(surface, camera, e.x, e.y, radius, ability.color, alpha)
                marks.ring(surface, camera, e.x, e.y, radius, ability.color, 2 * unit)
        elif e.kind == "captured" and age < 16:
            color = ALLY if round(e.amount) == team else ENEMY
            marks.ring(surface, camera, e.x, e.y, 3.4 + age * 0.35, color, 3 * unit)
        elif e.kind == "delivered" and age < 14:
            marks.ring(surface, camera, e.x, e.y, 0.6 + age * 0.25, GOLD, 2 * unit)
        elif e.kind == "respawn" and age < 12:
            color = ALLY if match.fighters[e.seat].team == team else ENEMY
            marks.ring(surface, camera, e.x, e.y, 2.4 - age * 0.15, color, 2 * unit)


def draw_bolt(
    surface: pygame.Surface, camera: Camera, x: float, y: float, z: float, vx: float, vy: float,
    color: Color,
) -> None:  # fmt: skip
    """A bolt with its tail."""
    for i in range(4, -1, -1):
        column, row, depth = camera.project(x - vx * 0.012 * i, y - vy * 0.012 * i, z)
        if depth > NEAR:
            size = max(2, int(camera.focal * (0.42 - 0.06 * i) / depth))
            ball = marks.glow(min(size, 60), color, 230 - 40 * i)
            surface.blit(ball, (column - size, row - size), special_flags=_ADD)
    column, row, depth = camera.project(x, y, z)
    if depth > NEAR:
        pygame.draw.circle(surface, WHITE, (column, row), max(1, int(camera.focal * 0.11 / depth)))


def draw_sparks(
    surface: pygame.Surface, match: MatchState, camera: Camera, viewer: Fighter
) -> None:
    """Sparks of hits, healing and falls, and the numbers above them."""
    for e in match.events:
        age = match.tick - e.tick
        if e.kind in ("hit", "guarded"):
            victim, by = match.fighters[e.seat], match.fighters[e.by]
            if age < _SPARK_TICKS:
                color = ability_of(by, e.slot).color
                _spray(surface, camera, e, age, color, 5 + round(e.amount / 4), 4.2, -0.9)
            if age < _NUMBER_TICKS and (viewer in (victim, by)):
                _number(surface, camera, e, age, RED if victim is viewer else GOLD)
        elif e.kind == "heal":
            if age < 10:
                _spray(surface, camera, e, age, GREEN, 6, 1.6, -0.6, rise=2.0)
            if age < _NUMBER_TICKS and viewer.seat in (e.seat, e.by) and e.amount >= 4:
                _number(surface, camera, e, age, GREEN, "+")
        elif e.kind == "missed" and age < 12:
            _word(surface, camera, e, age, "MISS", WHITE)
        elif e.kind == "down" and age < _FALL_TICKS:
            color = ALLY if match.fighters[e.seat].team == viewer.team else ENEMY
            _spray(surface, camera, e, age, color, 22, 5.0, 1.0, lasts=_FALL_TICKS)
        elif e.kind == "pickup" and age < 8:
            _spray(surface, camera, e, age, GOLD, 10, 2.5, 0.0, rise=2.0)
        elif e.kind == "delivered" and age < 16:
            _spray(surface, camera, e, age, GOLD, 18, 2.2, 0.2, rise=4.0, lasts=16)
            _word(surface, camera, e, age, f"+{CELL_SCORE}", GOLD)


def _spray(
    surface: pygame.Surface, camera: Camera, e: Event, age: int, color: Color, count: int,
    speed: float, lift: float, rise: float = 1.2, lasts: int = 10,
) -> None:  # fmt: skip
    time = age / 20
    size = 1.0 - age / (lasts + 2)
    start = (e.tick * 7 + e.seat * 3) % len(_DIRECTIONS)
    for i in range(min(count, len(_DIRECTIONS))):
        sin, cos, pace = _DIRECTIONS[(start + i) % len(_DIRECTIONS)]
        away = speed * pace * time
        height = e.z + lift + rise * pace * time * 2 - 4 * time * time
        column, row, depth = camera.project(e.x + sin * away, e.y + cos * away, max(0.05, height))
        if depth > NEAR:
            side = max(1, round(camera.focal * 0.14 * size / depth))
            surface.fill(color if i % 3 else WHITE, (column, row, side, side))


def _number(
    surface: pygame.Surface, camera: Camera, e: Event, age: int, color: Color, sign: str = ""
) -> None:
    if e.amount >= 1:
        _word(surface, camera, e, age, f"{sign}{round(e.amount)}", color)


def _word(
    surface: pygame.Surface, camera: Camera, e: Event, age: int, words: str, color: Color
) -> None:
    sideways = ((e.tick * 5) % 7 - 3) * 0.08
    column, row, depth = camera.project(e.x + sideways, e.y, e.z + 0.2 + 0.05 * age)
    if depth > NEAR:
        scale = max(1, camera.height // 180)
        centered(surface, text(words, color, scale), column, row)

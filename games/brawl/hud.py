"""Head-up display: score, health, abilities, allies, the locked target, who felled whom."""

from __future__ import annotations

import math
from functools import lru_cache

import pygame

from games.brawl.arena import POINT_RADIUS
from games.brawl.combat import EVADE_COOLDOWN, MOUNT_CALM_SECONDS
from games.brawl.fighter import EVADE, TEAM_SIZE, Fighter, ticks
from games.brawl.glyphs import centered, icon, text
from games.brawl.objectives import NOBODY
from games.brawl.palette import (
    ALLIES_GAP,
    ALLIES_WIDTH,
    ALLIES_X,
    ALLIES_Y,
    ALLY,
    BADGE_X,
    BADGE_Y,
    BAR_EMPTY,
    CARRIED_GAP,
    CARRIED_X,
    CARRIED_Y,
    CELL_CORE,
    CORE,
    ENEMY,
    FLAG_GAP,
    FLAG_WIDTH,
    FLAGS_X,
    FLAGS_Y,
    GOLD,
    HEALTH_FILL,
    HEALTH_HEIGHT,
    HEALTH_LOW,
    HEALTH_WIDTH,
    HEALTH_X,
    HEALTH_Y,
    INK,
    KIND,
    NEUTRAL,
    PANEL,
    RED,
    SLOT,
    SLOT_ACTIVE,
    SLOT_COOLING,
    SLOT_GAP,
    SLOT_READY,
    SLOTS_X,
    SLOTS_Y,
    STAND_Y,
    TARGET_WIDTH,
    TARGET_X,
    TARGET_Y,
    WHITE,
    Color,
)
from games.brawl.state import MatchState

_STEPS = 12
"""Steps in which a slot fills while it cools down."""
_SLOT_KEYS = ("1", "2", "3", "S", "E", "M")


class Hud:
    """Draws the display of one fighter's player; `unit` are the pixels of one of a frame's."""

    def __init__(self, surface: pygame.Surface, match: MatchState, f: Fighter, unit: int) -> None:
        self.surface, self.match, self.f, self.unit = surface, match, f, unit

    def draw(self) -> None:
        """Draw all of it."""
        self._draw_score()
        self._draw_allies()
        self._draw_health()
        self._draw_slots()
        self._draw_target()
        self._draw_feed()
        if self.match.is_over:
            self._draw_result()
        elif not self.f.alive:
            left = (self.f.dead_until - self.match.tick) / 20
            self._text(f"RESPAWN IN {left:.0f}", WHITE, 160, 84, 2)

    def _fill(self, color: Color, x: int, y: int, width: int, height: int) -> None:
        u = self.unit
        self.surface.fill(color, (x * u, y * u, width * u, height * u))

    def _blit(self, picture: pygame.Surface, x: int, y: int) -> None:
        self.surface.blit(picture, (x * self.unit, y * self.unit))

    def _text(self, words: str, color: Color, x: float, y: float, scale: int = 1) -> None:
        centered(self.surface, text(words, color, scale * self.unit), x * self.unit, y * self.unit)

    def _icon(self, name: str, color: Color, x: int, y: int, core: Color | None = None) -> None:
        """An icon whose middle pixel is (x, y)."""
        source = icon(name, color, self.unit, core)
        half = source.get_width() // self.unit // 2
        self._blit(source, x - half, y - half)

    def _badge(self, name: str, ally: bool, x: int, y: int) -> None:
        """A class's icon on dark ground; the middle pixel (x, y) says what it is."""
        self._blit(_badge_picture(name, ally, self.unit), x - 4, y - 4)

    def _bar(self, share: float, color: Color, x: int, y: int, width: int, height: int) -> None:
        self._fill(INK, x - 1, y - 1, width + 2, height + 2)
        self._fill(BAR_EMPTY, x, y, width, height)
        if share > 0:
            self._fill(color, x, y, max(1, round(width * share)), height)

    def _draw_result(self) -> None:
        """Who won, over the middle of the picture."""
        winner, team = self.match.winner, self.f.team
        words, color = ("DRAW", NEUTRAL) if winner is None else ("DEFEAT", ENEMY)
        if winner == team:
            words, color = "VICTORY", ALLY
        self._fill(INK, 0, 62, 320, 44)
        self._fill(color, 0, 64, 320, 1)
        self._fill(color, 0, 103, 320, 1)
        self._text(words, color, 160, 78, 3)
        ours, theirs = self.match.score[team], self.match.score[1 - team]
        self._text(f"{ours} - {theirs}", WHITE, 160, 95, 1)

    def _draw_score(self) -> None:
        match, team, u = self.match, self.f.team, self.unit
        seconds = int(match.seconds_left + 0.95)
        self._blit(_score_picture(match.score[team], match.score[1 - team], seconds, u), 119, 1)
        for i, (letter, point) in enumerate(zip("ABC", match.objectives.points, strict=True)):
            x = FLAGS_X + FLAG_GAP * i
            owner = NEUTRAL if point.owner == NOBODY else ALLY if point.owner == team else ENEMY
            ours = point.hold if team == 0 else -point.hold
            side, share = ALLY if ours > 0 else ENEMY, round(FLAG_WIDTH * abs(ours))
            self._blit(_flag_picture(letter, owner, side, share, u), x - 1, FLAGS_Y - 1)
            away = math.hypot(point.x - self.f.x, point.y - self.f.y)
            if away < POINT_RADIUS and self.f.alive:
                self._fill(WHITE, x, STAND_Y, FLAG_WIDTH, 1)

    def _draw_allies(self) -> None:
        f, first = self.f, self.f.team * TEAM_SIZE
        others = [g for g in self.match.fighters[first : first + TEAM_SIZE] if g is not f]
        for i, g in enumerate(others):
            y = ALLIES_Y + ALLIES_GAP * i
            self._badge(g.kind.name, True, ALLIES_X - 8, y)
            share = g.health / g.kind.health if g.alive else 0.0
            self._bar(share, _health_color(share), ALLIES_X, y - 1, ALLIES_WIDTH, 4)

    def _draw_health(self) -> None:
        f = self.f
        share = f.health / f.kind.health if f.alive else 0.0
        self._fill(INK, BADGE_X - 8, BADGE_Y - 8, 17, 17)
        self._fill(PANEL, BADGE_X - 7, BADGE_Y - 7, 15, 15)
        self._badge(f.kind.name, True, BADGE_X, BADGE_Y)
        self._bar(share, _health_color(share), HEALTH_X, HEALTH_Y, HEALTH_WIDTH, HEALTH_HEIGHT)
        self._text(f"{max(0, round(f.health))}", WHITE, HEALTH_X + HEALTH_WIDTH / 2, HEALTH_Y + 4)
        for i in range(f.cells):
            x = CARRIED_X + CARRIED_GAP * i
            self._fill(INK, x - 3, CARRIED_Y - 3, 7, 7)
            self._icon("damage", GOLD, x, CARRIED_Y, CELL_CORE)

    def _draw_slots(self) -> None:
        f, now = self.f, self.match.tick
        for i, key in enumerate(_SLOT_KEYS):
            name, share, active = self._slot(i, now)
            ready = share >= 1 and f.alive
            border = SLOT_ACTIVE if active else SLOT_READY if ready else SLOT_COOLING
            source = _slot_picture(name, key, border, int(share * _STEPS), i == 3, self.unit)
            self._blit(source, SLOTS_X + (SLOT + SLOT_GAP) * i, SLOTS_Y)

    def _slot(self, i: int, now: int) -> tuple[str, float, bool]:
        """A slot's icon, how far it is ready, and whether it is at work."""
        f = self.f
        if i == 5:
            share = min(1.0, (now - f.fought_at) / ticks(MOUNT_CALM_SECONDS))
            return "mount", share, f.mounted or bool(f.mount_at)
        if i == 4:
            left = f.ready_at[EVADE] - now
            return "evade", 1 - max(0, left) / ticks(EVADE_COOLDOWN), now < f.evade_until
        ability = f.kind.abilities[i]
        until = {"guard": f.guard_until, "rage": f.rage_until}.get(ability.effect, 0)
        if i == 3:
            return ability.effect, f.charge, now < until
        left = f.ready_at[i + 1] - now
        return ability.effect, 1 - max(0, left) / ticks(ability.cooldown), now < until

    def _draw_target(self) -> None:
        target = self.match.locked(self.f)
        if target is not None:
            share = target.health / target.kind.health
            self._fill(INK, TARGET_X - 13, TARGET_Y - 5, TARGET_WIDTH + 15, 11)
            self._badge(target.kind.name, False, TARGET_X - 8, TARGET_Y)
            self._bar(share, ENEMY, TARGET_X, TARGET_Y - 2, TARGET_WIDTH, 5)

    def _draw_feed(self) -> None:
        falls = [e for e in self.match.events if e.kind == "down"][-3:]
        for i, e in enumerate(falls):
            by, fallen = self.match.fighters[e.by], self.match.fighters[e.seat]
            y = 42 + 10 * i
            self._fill(PANEL, 2, y - 5, 34, 10)
            self._badge(by.kind.name, by.team == self.f.team, 7, y)
            self._icon("down", WHITE, 18, y)
            self._badge(fallen.kind.name, fallen.team == self.f.team, 30, y)


@lru_cache(maxsize=64)
def _badge_picture(name: str, ally: bool, unit: int) -> pygame.Surface:
    picture = pygame.Surface((9 * unit, 9 * unit))
    picture.fill(INK)
    centered(picture, icon(name, KIND[ally, name], unit), 4.5 * unit, 4.5 * unit)
    picture.fill(CORE[ally, name], (4 * unit, 4 * unit, unit, unit))
    return picture


@lru_cache(maxsize=64)
def _score_picture(ours: int, theirs: int, seconds: int, unit: int) -> pygame.Surface:
    """Both scores, and the time left between them."""
    picture = pygame.Surface((82 * unit, 13 * unit))
    picture.fill(INK)
    for color, left in ((ALLY, 1), (ENEMY, 53)):
        picture.fill([c // 2 for c in color], (left * unit, unit, 28 * unit, 11 * unit))
    time = f"{seconds // 60}:{seconds % 60:02}"
    for words, color, x in (
        (str(ours), WHITE, 15.5),
        (time, RED if seconds <= 15 else WHITE, 41.5),
        (str(theirs), WHITE, 67.5),
    ):
        centered(picture, text(words, color, unit), x * unit, 6.5 * unit)
    return picture


@lru_cache(maxsize=512)
def _flag_picture(letter: str, owner: Color, side: Color, share: int, unit: int) -> pygame.Surface:
    """A point: its letter in its owner's colour, and below it how far a side has come in taking it."""
    picture = pygame.Surface(((FLAG_WIDTH + 2) * unit, 12 * unit))
    picture.fill(INK)
    picture.fill(owner, (unit, unit, FLAG_WIDTH * unit, 7 * unit))
    centered(picture, text(letter, WHITE, unit), 6.5 * unit, 4.5 * unit)
    picture.fill(side, (unit, 9 * unit, share * unit, unit))
    return picture


@lru_cache(maxsize=1024)
def _slot_picture(
    name: str, key: str, border: Color, step: int, is_super: bool, unit: int
) -> pygame.Surface:
    """One slot: what is still to come is dark, from the top."""
    picture = pygame.Surface((SLOT * unit, SLOT * unit))
    picture.fill(border)
    inner = pygame.Rect(unit, unit, (SLOT - 2) * unit, (SLOT - 2) * unit)
    ready = border != SLOT_COOLING
    ground: Color = (92, 60, 120) if is_super else (54, 70, 104)
    picture.fill(PANEL, inner)
    share = min(step / _STEPS, 1.0) if not ready else 1.0
    height = round(inner.height * share)
    picture.fill(ground, (unit, inner.bottom - height, inner.width, height))
    color = (WHITE if border == SLOT_READY else SLOT_ACTIVE) if ready else (150, 154, 164)
    centered(picture, icon(name, color, unit), SLOT * unit / 2, SLOT * unit / 2)
    return picture


def _health_color(share: float) -> Color:
    return HEALTH_FILL if share > 0.35 else HEALTH_LOW

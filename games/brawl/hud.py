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

    def _fill(self, color: Color, x: float, y: float, width: float, height: float) -> None:
        u = self.unit
        self.surface.fill(color, (round(x * u), round(y * u), round(width * u), round(height * u)))

    def _text(self, words: str, color: Color, x: float, y: float, scale: int = 1) -> None:
        centered(self.surface, text(words, color, scale * self.unit), x * self.unit, y * self.unit)

    def _icon(self, name: str, color: Color, x: float, y: float, core: Color | None = None) -> None:
        """An icon whose middle pixel is (x, y)."""
        source = icon(name, color, self.unit, core)
        half = source.get_width() // self.unit // 2
        self.surface.blit(source, (round((x - half) * self.unit), round((y - half) * self.unit)))

    def _badge(self, name: str, ally: bool, x: int, y: int) -> None:
        """A class's icon on dark ground; the middle pixel says what it is."""
        self._fill(INK, x - 4, y - 4, 9, 9)
        self._icon(name, KIND[ally, name], x, y)
        self._fill(CORE[ally, name], x, y, 1, 1)

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
        match, team = self.match, self.f.team
        self._fill(INK, 119, 1, 82, 13)
        self._fill(tuple(c // 2 for c in ALLY), 120, 2, 28, 11)  # type: ignore[arg-type]
        self._fill(tuple(c // 2 for c in ENEMY), 172, 2, 28, 11)  # type: ignore[arg-type]
        self._text(str(match.score[team]), WHITE, 134, 7.5)
        self._text(str(match.score[1 - team]), WHITE, 186, 7.5)
        seconds = int(match.seconds_left + 0.95)
        color = RED if seconds <= 15 else WHITE
        self._text(f"{seconds // 60}:{seconds % 60:02}", color, 160, 7.5)
        for i, (letter, point) in enumerate(zip("ABC", match.objectives.points, strict=True)):
            x, y = FLAGS_X + FLAG_GAP * i, FLAGS_Y
            owner = NEUTRAL if point.owner == NOBODY else ALLY if point.owner == team else ENEMY
            self._fill(INK, x - 1, y - 1, FLAG_WIDTH + 2, 12)
            self._fill(owner, x, y, FLAG_WIDTH, 7)
            self._text(letter, WHITE, x + 5, y + 3.5)
            ours = point.hold if team == 0 else -point.hold
            self._fill(ALLY if ours > 0 else ENEMY, x, y + 8, round(FLAG_WIDTH * abs(ours)), 1)
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
            place = SLOTS_X + (SLOT + SLOT_GAP) * i, SLOTS_Y
            self.surface.blit(source, (place[0] * self.unit, place[1] * self.unit))

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

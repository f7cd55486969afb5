"""Picture: what a fighter's player sees of a match, drawn from its state alone."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pygame

from games.brawl import marks
from games.brawl.arena import POINT_RADIUS
from games.brawl.camera import NEAR, Camera
from games.brawl.effects import draw_bolt, draw_sparks, draw_waves
from games.brawl.fighter import Fighter, wrapped
from games.brawl.figures import BELOW, HEIGHT, SIDES, finely_scaled, scaled, sprite_height
from games.brawl.glyphs import centered, icon, text
from games.brawl.ground import draw_ground
from games.brawl.hud import Hud
from games.brawl.minimap import draw_minimap
from games.brawl.objectives import NOBODY
from games.brawl.palette import (
    ALLY,
    BAR_EMPTY,
    ENEMY,
    GOLD,
    INK,
    KIND,
    LETTER,
    MAP_RADIUS,
    MAP_X,
    MAP_Y,
    NEUTRAL,
    WHITE,
    Color,
)
from games.brawl.pointers import draw_pointers
from games.brawl.scenery import Drawing, block_drawings
from games.brawl.spec import SPEC
from games.brawl.state import MatchState
from games.env import Frame

_ADD = pygame.BLEND_RGB_ADD
_FAR = 60.0
_BELOW_MAP = MAP_Y + MAP_RADIUS + 13
"""The topmost row of a sign below the minimap."""
_SMALL = 34
"""Rows of a sprite below which half as many directions do."""


def draw(match: MatchState, seat: int, detail: int = 1) -> Frame:
    """The picture of a seat, `detail` times as high and wide as a frame of the game."""
    size = SPEC.frame
    frame = np.empty((size.height * detail, size.width * detail, 3), np.uint8)
    Picture(frame, match, match.fighters[seat], detail).draw()
    return frame


class Picture:
    """One picture while it is drawn."""

    def __init__(self, frame: Frame, match: MatchState, f: Fighter, detail: int) -> None:
        self.frame, self.match, self.f, self.detail = frame, match, f, detail
        height, width = frame.shape[:2]
        self.surface = pygame.image.frombuffer(frame.data.cast("B"), (width, height), "RGB")
        self.camera = Camera.behind(f, width, height)

    def draw(self) -> None:
        """Draw everything, from the back to the front."""
        draw_ground(self.frame, self.match.arena, self.camera, self.f.team)
        self._draw_points()
        self._draw_zones()
        draw_waves(self.surface, self.match, self.camera, self.f.team)
        self._draw_shadows()
        drawings = block_drawings(self.surface, self.match.arena, self.camera, (self.f.x, self.f.y))
        drawings += self._fighters() + self._cells() + self._bolts() + self._beams()
        drawings.sort(key=lambda drawing: -drawing[0])
        for _, drawer in drawings:
            drawer()
        draw_sparks(self.surface, self.match, self.camera, self.f)
        self._draw_bars()
        self._draw_signs()
        if self.detail > 1:
            draw_pointers(self.surface, self.match, self.camera, self.f)
        if not self.f.alive:
            _fade(self.frame)
        Hud(self.surface, self.match, self.f, self.detail).draw()
        draw_minimap(self.frame, self.surface, self.match, self.f, self.detail)

    def _color(self, team: int) -> Color:
        return NEUTRAL if team == NOBODY else ALLY if team == self.f.team else ENEMY

    # --- on the ground ---

    def _draw_points(self) -> None:
        for point in self.match.objectives.points:
            color = self._color(point.owner)
            edge = marks.circle(self.camera, point.x, point.y, POINT_RADIUS)
            if edge is None:
                continue
            marks.blend(self.surface, edge, color, 46)
            pygame.draw.polygon(self.surface, color, edge, self.detail)
            if abs(point.hold) < 1:
                taking = self._color(0 if point.hold > 0 else 1)
                marks.ring(self.surface, self.camera, point.x, point.y, POINT_RADIUS * 0.9, taking,
                           2 * self.detail, abs(point.hold) * 0.999)  # fmt: skip

    def _draw_zones(self) -> None:
        for zone in self.match.zones:
            reach, color = zone.ability.reach, zone.ability.color
            marks.disc(self.surface, self.camera, zone.x, zone.y, reach, color, 70)
            beat = (self.match.tick % 10) / 10
            marks.ring(self.surface, self.camera, zone.x, zone.y, reach * beat, color, self.detail)
            marks.ring(self.surface, self.camera, zone.x, zone.y, reach, color, self.detail)

    def _draw_shadows(self) -> None:
        for f in self.match.fighters:
            column, row, depth = self.camera.project(f.x, f.y, 0.02)
            if f.alive and NEAR < depth < _FAR:
                width = max(3, int(self.camera.focal * 2.1 * f.kind.radius / depth))
                size = width, max(2, int(width * (0.3 + 0.4 * self.f.pitch)))
                centered(self.surface, marks.shadow(*size), column, row)
        f = self.f
        marks.ring(self.surface, self.camera, f.x, f.y, 0.95, WHITE, self.detail)

    # --- what stands ---

    def _fighters(self) -> list[Drawing]:
        drawings: list[Drawing] = []
        for f in self.match.fighters:
            column, row, depth = self.camera.project(f.x, f.y, f.z)
            away = self.match.tick - self._fell_at(f)
            if (
                NEAR < depth < _FAR
                and -80 < column < self.camera.width + 80
                and (f.alive or away < 30)
            ):
                drawings.append((depth - 0.3, self._fighter(f, column, row, depth)))
        return drawings

    def _fell_at(self, f: Fighter) -> int:
        return f.dead_until - 120 if f.dead_until else self.match.tick

    def _fighter(self, f: Fighter, column: float, row: float, depth: float):  # type: ignore[no-untyped-def]
        now, camera = self.match.tick, self.camera
        aside = math.atan2(column - camera.width / 2, camera.focal)
        side = round(wrapped(f.facing - camera.yaw - aside) / math.tau * SIDES) % SIDES
        pixels = sprite_height(camera.focal * HEIGHT / depth, self.detail)
        if pixels < _SMALL * self.detail:
            side -= side % 2
        pose = pose_of(f, now)
        flash = now - f.hurt_at < 3 and f.alive
        name, ally, detail = f.kind.name, f.team == self.f.team, self.detail
        if detail == 1:
            body = scaled(name, ally, side, pose, flash, pixels)
        else:
            body = finely_scaled(name, ally, side, pose, detail, flash, pixels)

        def drawer() -> None:
            place = column - body.get_width() / 2, row - pixels * (1 - BELOW / HEIGHT)
            if now < f.rage_until or now < f.guard_until or now < f.haste_until:
                self._aura(f, column, row, depth)
            self.surface.blit(body, (round(place[0]), round(place[1])))
            if now < f.guard_until:
                self._shield(column, row, depth, f)

        return drawer

    def _aura(self, f: Fighter, column: float, row: float, depth: float) -> None:
        now = self.match.tick
        color: Color = (255, 80, 190) if now < f.rage_until else (120, 220, 255)
        size = min(200, max(3, int(self.camera.focal * 1.15 / depth)))
        ball = marks.glow(size, color, 130)
        lift = self.camera.focal * 1.0 / depth
        self.surface.blit(ball, (column - size, row - lift - size), special_flags=_ADD)

    def _shield(self, column: float, row: float, depth: float, f: Fighter) -> None:
        size = max(3, int(self.camera.focal * 1.3 / depth))
        lift = self.camera.focal * 1.05 / depth
        pygame.draw.circle(self.surface, (170, 220, 255), (column, row - lift), size, self.detail)

    def _cells(self) -> list[Drawing]:
        drawings: list[Drawing] = []
        for cell in self.match.objectives.cells:
            if cell.carrier == NOBODY and self.match.tick < cell.away_until:
                continue
            z = 0.75 + 0.12 * math.sin(self.match.tick * 0.3)
            if cell.carrier != NOBODY:
                z += self.match.fighters[cell.carrier].kind.height + 0.4
            column, row, depth = self.camera.project(cell.x, cell.y, z)
            if NEAR < depth < _FAR:
                drawings.append((depth, lambda c=column, r=row, d=depth: self._cell(c, r, d)))  # type: ignore[misc]
        return drawings

    def _cell(self, column: float, row: float, depth: float) -> None:
        size = max(2.0, self.camera.focal * 0.42 / depth)
        radius = min(120, int(size * 2.4))
        light = marks.glow(radius, (255, 190, 30), 120)
        self.surface.blit(light, (column - radius, row - radius), special_flags=_ADD)
        thin = size * (0.45 + 0.2 * abs(math.sin(self.match.tick * 0.15)))
        gem = [
            (column, row - size),
            (column + thin, row),
            (column, row + size),
            (column - thin, row),
        ]
        pygame.draw.polygon(self.surface, GOLD, gem)
        pygame.draw.polygon(self.surface, (255, 248, 190), [gem[0], gem[3], (column, row)])
        pygame.draw.polygon(self.surface, (120, 78, 10), gem, 1)

    def _bolts(self) -> list[Drawing]:
        drawings: list[Drawing] = []
        for bolt in self.match.bolts:
            depth = self.camera.project(bolt.x, bolt.y, bolt.z)[2]
            if depth > NEAR:
                drawings.append((depth, lambda b=bolt: draw_bolt(  # type: ignore[misc]
                    self.surface, self.camera, b.x, b.y, b.z, b.vx, b.vy, b.ability.color
                )))  # fmt: skip
        return drawings

    def _beams(self) -> list[Drawing]:
        """Columns of light above the points."""
        drawings: list[Drawing] = []
        for point in self.match.objectives.points:
            column, row, depth = self.camera.project(point.x, point.y, 0.0)
            if 2 < depth < _FAR:
                drawings.append((depth, lambda c=column, r=row, d=depth, p=point: self._beam(  # type: ignore[misc]
                    c, r, d, self._color(p.owner)
                )))  # fmt: skip
        return drawings

    def _beam(self, column: float, row: float, depth: float, color: Color) -> None:
        width = max(2, min(40 * self.detail, int(self.camera.focal * 0.7 / depth)))
        height = max(4, min(150 * self.detail, int(self.camera.focal * 4.4 / depth)))
        light = marks.beam(width, height, color)
        self.surface.blit(light, (column - width / 2, row - height), special_flags=_ADD)

    # --- above everything ---

    def _draw_bars(self) -> None:
        """Health above each head, and the lock-on's brackets."""
        u = self.detail
        for f in self.match.fighters:
            if f is self.f or not f.alive:
                continue
            top = f.z + f.kind.height + 0.35
            column, row, depth = self.camera.project(f.x, f.y, top)
            if not NEAR < depth < 45:
                continue
            width = max(8, min(22, round(190 / depth))) * u
            left, row = round(column - width / 2), round(row) - 2 * u
            share = f.health / f.kind.health
            self.surface.fill(INK, (left - u, row - u, width + 2 * u, 4 * u))
            self.surface.fill(BAR_EMPTY, (left, row, width, 2 * u))
            self.surface.fill(self._color(f.team), (left, row, max(1, round(width * share)), 2 * u))
            color = KIND[f.team == self.f.team, f.kind.name]
            centered(self.surface, icon(f.kind.name, color, u), left - 5 * u, row + u)
            if self.match.tick < f.stun_until:
                for i in range(3):
                    angle = self.match.tick * 0.5 + i * math.tau / 3
                    spot = column + 5 * u * math.sin(angle), row - 4 * u + 2 * u * math.cos(angle)
                    pygame.draw.circle(self.surface, (255, 236, 110), spot, 1.2 * u)
            if self.f.lock == f.seat:
                self._draw_lock(f)

    def _draw_lock(self, f: Fighter) -> None:
        column, row, depth = self.camera.project(f.x, f.y, f.z + f.kind.height / 2)
        half = max(7.0 * self.detail, self.camera.focal * 0.75 * f.kind.height / depth)
        arm = max(3 * self.detail, half * 0.4)
        for sx in (-1, 1):
            for sy in (-1, 1):
                x, y = column + sx * half, row + sy * half
                for color, thick in ((INK, 3), ((255, 60, 70), 1)):
                    width = thick * self.detail
                    pygame.draw.line(self.surface, color, (x, y), (x - sx * arm, y), width)
                    pygame.draw.line(self.surface, color, (x, y), (x, y - sy * arm), width)

    def _draw_signs(self) -> None:
        """A letter above each point, at the picture's edge where that is out of view."""
        u = self.detail
        for letter, point in zip("ABC", self.match.objectives.points, strict=True):
            column, row, depth = self.camera.project(point.x, point.y, 4.2)
            if depth < NEAR:
                continue
            x = min(max(column, 8 * u), self.camera.width - 8 * u)
            below = _BELOW_MAP if x > (MAP_X - MAP_RADIUS - 8) * u else 48
            y = min(max(row, below * u), 140 * u)
            diamond = [(x, y - 7 * u), (x + 7 * u, y), (x, y + 7 * u), (x - 7 * u, y)]
            pygame.draw.polygon(self.surface, self._color(point.owner), diamond)
            pygame.draw.polygon(self.surface, INK, diamond, u)
            away = math.hypot(point.x - self.f.x, point.y - self.f.y)
            centered(self.surface, text(letter, WHITE, u), x, y)
            if away > 4:
                centered(self.surface, text(f"{away:.0f}", LETTER[letter], u), x, y + 10 * u)


def _fade(frame: Frame) -> None:
    """Keep 0.15 of each colour and add half of their mean."""
    planes = [plane.astype(np.uint16) for plane in cv2.split(frame)]
    light = 10 * (planes[0] + planes[1] + planes[2])
    cv2.merge([((9 * plane + light) // 60).astype(np.uint8) for plane in planes], dst=frame)


def pose_of(f: Fighter, now: int) -> str:
    """The pose of a fighter at a tick."""
    since = now - f.swing_at
    if not f.alive:
        return "down"
    if now < f.evade_until:
        return f"roll{(f.evade_until - now) // 2 % 4}"
    if now < f.dash_until:
        return "dash"
    if now < f.stun_until:
        return "stun"
    if f.mounted:
        return "ride" if now // 6 % 2 else "ride2"
    if now < f.taunt_until:
        return f"taunt{now // 4 % 2}"
    if since < 7:
        if f.swing or f.kind.name == "support":
            return "cast"
        hand = "2" if f.kind.name == "damage" and f.ready_at[0] // 8 % 2 else ""
        return f"windup{hand}" if since < 2 else f"strike{hand}"
    if not f.grounded:
        return "jump"
    if now < f.guard_until:
        return "guard"
    if math.hypot(f.vx, f.vy) > 0.7:
        return f"walk{int(f.stride / 0.42) % 6}"
    return "idle"

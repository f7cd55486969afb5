"""Match: four against four in one arena, stepped by eight commands; it draws nothing and is the same every time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from games.brawl import combat, movement
from games.brawl.command import BIT, DIRECTION, Command
from games.brawl.events import LIFETIME, Event
from games.brawl.fighter import SEATS, TEAM_SIZE, TICK_HZ, Fighter, ticks, wrapped
from games.brawl.spec import SPEC
from games.brawl.state import MatchState

TICKS = round(TICK_HZ / SPEC.step_hz)
"""Ticks of a step."""
LOCK_REACH = 24.0
_LOCK_WIDTH = math.radians(75)
_ABILITIES = tuple(
    (BIT[name], slot)
    for slot, name in enumerate(
        ("SpecialAbility1", "SpecialAbility2", "SpecialAbility3", "SuperAbility"), start=1
    )
)


class Match(MatchState):
    """The whole state of a match; `step` moves it by a tenth of a second."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        for f in self.fighters:
            self._place(f)

    def step(self, commands: Sequence[Command]) -> None:
        """One step of the game: `commands` by seat. A button acts when it goes down; the attack also while held."""
        if self.events and self.events[0].tick < self.tick - LIFETIME:
            self.events = [event for event in self.events if event.tick >= self.tick - LIFETIME]
        order = range(SEATS) if self.tick // TICKS % 2 == 0 else range(SEATS - 1, -1, -1)
        for seat in order:
            self._press(self.fighters[seat], commands[seat])
        for _ in range(TICKS):
            self._advance(commands)

    # --- a step ---

    def _press(self, f: Fighter, command: Command) -> None:
        went_down = command.buttons & ~f.pressed
        f.pressed = command.buttons
        if not f.alive:
            return
        now = self.tick
        if went_down & BIT["LockOn"]:
            f.lock = -1 if f.lock >= 0 else self._next_lock(f)
        if went_down & BIT["SwitchLockOnTarget"] and f.lock >= 0:
            f.lock = self._next_lock(f)
        if not command.buttons or not combat.can_act(f, now):
            return
        if went_down & BIT["Evade"]:
            combat.evade(self, f, *self._heading(f, command))
        if went_down & BIT["Jump"] and f.grounded:
            movement.jump(f)
        if went_down & BIT["Mount"]:
            self._mount(f)
        if went_down & BIT["Taunt"] and f.grounded and not f.mounted:
            f.taunt_until = now + ticks(1.2)
        for bit, slot in _ABILITIES:
            if went_down & bit and combat.use(self, f, slot):
                return
        if command.buttons & BIT["MeleeAttack"]:
            combat.use(self, f, 0)

    def _advance(self, commands: Sequence[Command]) -> None:
        self.tick += 1
        now, fighters = self.tick, self.fighters
        for f in fighters:
            if f.dead_until:
                if now >= f.dead_until:
                    self._respawn(f)
                continue
            target = self._held_lock(f)
            movement.turn_view(f, commands[f.seat], target)
            movement.move(f, commands[f.seat], self.arena, now, target)
            if f.mount_at and now >= f.mount_at:
                f.mounted, f.mount_at = True, 0
            if f.charge < 1:
                f.charge = min(1.0, f.charge + 1 / ticks(2 * f.kind.abilities[3].cooldown))
        movement.push_apart([f for f in fighters if f.dead_until == 0])
        combat.advance(self)
        self._regenerate()
        self.events += self.objectives.advance(fighters, now)

    def _regenerate(self) -> None:
        """Out of a fight, and faster at home, health comes back."""
        if self.tick % TICK_HZ:
            return
        for f in self.fighters:
            if f.alive and f.health < f.kind.health:
                base_x, base_y = self.arena.bases[f.team]
                at_home = math.hypot(f.x - base_x, f.y - base_y) < 5
                if at_home or self.tick - f.fought_at > ticks(6):
                    f.health = min(
                        f.kind.health, f.health + f.kind.health * (0.2 if at_home else 0.04)
                    )

    def _heading(self, f: Fighter, command: Command) -> tuple[float, float]:
        """The direction of the left stick in the arena; at rest backwards."""
        right, up = DIRECTION[command.left] if command.left_level else (0.0, -1.0)
        sin, cos = math.sin(f.yaw), math.cos(f.yaw)
        return right * cos + up * sin, up * cos - right * sin

    def _mount(self, f: Fighter) -> None:
        if f.mounted or f.mount_at:
            f.mounted, f.mount_at = False, 0
        elif self.tick - f.fought_at > ticks(combat.MOUNT_CALM_SECONDS):
            f.mount_at = self.tick + ticks(combat.MOUNT_SECONDS)

    def _next_lock(self, f: Fighter) -> int:
        """The enemy nearest to the middle of the view; with a lock-on the next one clockwise."""
        angles = []
        for g in self.fighters:
            away = math.hypot(g.x - f.x, g.y - f.y)
            if g.team != f.team and g.alive and g.seat != f.lock and away < LOCK_REACH:
                off = wrapped(f.bearing(g.x, g.y) - f.yaw)
                if f.lock >= 0:
                    angles.append((off % math.tau, g.seat))
                elif abs(off) < _LOCK_WIDTH:
                    angles.append((abs(off) + away * 0.03, g.seat))
        return min(angles)[1] if angles else f.lock

    def _held_lock(self, f: Fighter) -> Fighter | None:
        """The locked enemy; the lock breaks where it fell or went too far."""
        if f.lock < 0:
            return None
        target = self.fighters[f.lock]
        if target.alive and math.hypot(target.x - f.x, target.y - f.y) < LOCK_REACH + 3:
            return target
        f.lock = -1
        return None

    def _place(self, f: Fighter) -> None:
        """Stand the fighter in its base, looking at the middle."""
        x, y = self.arena.bases[f.team]
        angle = math.tau * (f.seat % TEAM_SIZE) / TEAM_SIZE + 0.4
        f.x, f.y, f.z = x + 2 * math.sin(angle), y + 2 * math.cos(angle), 0.0
        f.vx = f.vy = f.vz = 0.0
        f.facing = f.yaw = math.pi / 2 if f.team == 0 else -math.pi / 2
        f.health = f.kind.health

    def _respawn(self, f: Fighter) -> None:
        f.dead_until = f.stun_until = f.guard_until = f.rage_until = f.haste_until = 0
        f.mounted, f.mount_at, f.fought_at, f.dash = False, 0, -999, None
        self._place(f)
        self.note(Event("respawn", self.tick, f.x, f.y, 0.0, f.seat))

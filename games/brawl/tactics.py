"""Tactics: a player that decides by what it sees, for bots and for the scripted expert.

It holds what a player would remember: what it decided, on which side it went round an obstacle, which buttons are down.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from games.brawl.command import BIT, REST, Command, stick
from games.brawl.course import Course
from games.brawl.fighter import wrapped
from games.brawl.order import WIN, Order
from games.brawl.sight import Mark, Other, Sight
from games.brawl.skill import Skill

_SWINGS = (0.0, 0.4, -0.4, 0.8, -0.8, 1.2, -1.2, 1.6, -1.6, 2.1, -2.1)
_ABILITY = ("SpecialAbility1", "SpecialAbility2", "SpecialAbility3", "SuperAbility")
_MELEE_REACH = {"tank": 3.2, "damage": 2.7, "support": 12.0}
_STAND = {"tank": 1.9, "damage": 1.7, "support": 8.0}
"""How near to its target each class fights."""
_ENGAGE = 9.0
"""Meters within which an enemy is worth a fight on the way."""
_RIDE_BEYOND = 13.0
_ON_POINT = 2.2


@dataclass
class Tactics:
    """A player with a skill; `act` gives the next command and the thought behind it."""

    skill: Skill
    rng: random.Random
    order: Order = WIN
    _held: Command = REST
    """What it goes on doing until the next decision."""
    _thought: str = ""
    _kept: int = 0
    _pressed: set[str] = field(default_factory=set)
    _health: float = 1.0
    _strafe: int = 1
    _steps: int = 0

    def __post_init__(self) -> None:
        self.course = Course(self.skill.reaction)

    def act(self, sight: Sight) -> tuple[Command, str]:
        """The command of this step."""
        held = self.hold(is_up=sight.health > 0)
        return (held, self._thought) if held is not None else self._decide(sight)

    def hold(self, *, is_up: bool) -> Command | None:
        """The command of a step that needs no look around; None, and nothing is done, where it does. Before `act`."""
        if not is_up or self.order.kind == "wait":
            self._steps += 1
            self._pressed.clear()
            self._thought = "wait" if is_up else "down: wait for the respawn"
            return REST
        if self._kept == 0:
            return None
        self._steps += 1
        self._kept -= 1
        self._pressed &= {"MeleeAttack"}
        return self._held

    def _decide(self, sight: Sight) -> tuple[Command, str]:
        self._steps += 1
        self._kept = self.skill.reaction - 1
        was_hit, self._health = sight.health < self._health - 0.01, sight.health
        plan = _Plan(self, sight)
        thought = plan.decide()
        if was_hit and sight.ready[4] and self.rng.random() < self.skill.dodge_share:
            plan.press("Evade")
        command, self._thought = plan.command(), thought
        self._held = command._replace(buttons=command.buttons & BIT["MeleeAttack"])
        return command, thought


class _Plan:
    """One decision."""

    def __init__(self, player: Tactics, sight: Sight) -> None:
        self.player, self.sight, self.skill = player, sight, player.skill
        self.buttons: set[str] = set()
        self.heading: float | None = None
        self.pace = 1.0
        self.turn = 0.0

    def command(self) -> Command:
        """The sticks and buttons that were decided on; a button that was down before is let go first."""
        player = self.player
        down = {b for b in self.buttons if b == "MeleeAttack" or b not in player._pressed}
        player._pressed = down
        wobble = player.rng.gauss(0, self.skill.wobble) if self.skill.wobble else 0.0
        left = (0, 0)
        if self.heading is not None:
            step = math.tau / self.skill.directions
            left = stick(round((self.heading + wobble) / step) * step, self.pace)
        right = stick(math.copysign(math.pi / 2, self.turn), min(1.0, abs(self.turn)))
        return Command(sum(BIT[b] for b in down), *left, *right)

    def press(self, button: str) -> None:
        self.buttons.add(button)

    def decide(self) -> str:
        """Decide by the order; returns the thought."""
        sight, order = self.sight, self.player.order
        self._use_support()
        if sight.health < self.skill.retreat_below and sight.home and sight.home.away > 4:
            self._travel(sight.home)
            return "low health: retreat to the base"
        match order.kind:
            case "defend":
                return self._defend(order.about)
            case "escort":
                return self._escort(order.about)
            case "focus":
                return self._focus(order.about)
            case "cells":
                return self._bring_cells()
        return self._win()

    # --- orders ---

    def _defend(self, letter: str) -> str:
        point = self.sight.points.get(letter)
        if point is None:
            return self._look_round(f"point {letter}")
        if point.away > _ON_POINT:
            self._travel(Mark(point.bearing, point.away), ride_until=6)
            return f"point {letter} {side(point.bearing)}: go there"
        foe = self._foe(6.0)
        if foe is not None:
            self._attack(foe)
            if point.away > 1.4:
                self.heading, self.pace = point.bearing, 0.75
            return f"on point {letter}, enemy {foe.kind}: fight"
        self.heading = point.bearing if point.away > 1.3 else None
        return f"on point {letter}: hold it"

    def _escort(self, kind: str) -> str:
        friends = [o for o in self.sight.others if o.ally and o.kind == kind]
        if not friends:
            return self._look_round(kind)
        friend = min(friends, key=lambda o: o.away)
        if friend.away > 3.0:
            self._travel(Mark(friend.bearing, friend.away), ride_until=7)
            return f"our {kind} {side(friend.bearing)}: follow"
        foe = self._foe(4.5)
        if foe is not None:
            self._attack(foe)
            if friend.away > 2.2:
                self.heading, self.pace = friend.bearing, 1.0
            return f"beside our {kind}, enemy {foe.kind}: fight"
        self.heading = friend.bearing if friend.away > 1.8 else None
        self._release()
        return f"beside our {kind}: stay"

    def _focus(self, kind: str) -> str:
        foes = [o for o in self.sight.others if not o.ally and o.kind == kind]
        if not foes:
            self._release()
            return self._look_round(f"enemy {kind}")
        foe = min(foes, key=lambda o: o.away)
        if foe.away > 11:
            self._release()
            self._travel(Mark(foe.bearing, foe.away), ride_until=11)
            return f"their {kind} {side(foe.bearing)}: go after it"
        self._attack(foe, only=True)
        return f"their {kind} {side(foe.bearing)}: attack it"

    def _bring_cells(self) -> str:
        sight = self.sight
        loose = min(sight.loose, key=lambda m: m.away, default=None)
        self._release()
        if sight.cells and sight.home and (sight.cells > 1 or loose is None or loose.away > 9):
            self._travel(sight.home, ride_until=0)
            return "cell in hand: bring it home"
        if loose is not None:
            self._travel(loose, ride_until=0)
            return f"cell {side(loose.bearing)}: fetch it"
        foe = self._foe(6.0)
        if foe is not None:
            self._attack(foe)
            return f"no cell in sight, enemy {foe.kind}: fight"
        return self._look_round("cell")

    def _win(self) -> str:
        sight = self.sight
        foe = self._foe(_ENGAGE)
        if sight.cells and sight.home and (foe is None or foe.away > 5):
            self._release()
            self._travel(sight.home, ride_until=0)
            return "cell in hand: bring it home"
        goal, name = self._objective()
        if foe is not None and (goal is None or goal.away < _ENGAGE or foe.away < 6):
            self._attack(foe)
            if goal is not None and name.startswith("point") and 1.6 < goal.away < 5:
                self.heading, self.pace = goal.bearing, 1.0
            return f"enemy {foe.kind} {side(foe.bearing)}: fight"
        self._release()
        if goal is None:
            return self._look_round("point")
        if goal.away > 1.4:
            self._travel(goal, ride_until=6)
        return f"{name} {side(goal.bearing)}: take it"

    def _objective(self) -> tuple[Mark | None, str]:
        """The point or cell that is worth most for its distance."""
        best: tuple[float, Mark | None, str] = (99.0, None, "")
        for letter, point in self.sight.points.items():
            friends = sum(
                o.ally
                and abs(o.away - point.away) < 4
                and abs(wrapped(o.bearing - point.bearing)) < 0.4
                for o in self.sight.others
            )
            cost = point.away + (16 if point.owner > 0 else 0) + 5 * friends
            if cost < best[0]:
                best = cost, Mark(point.bearing, point.away), f"point {letter}"
        for cell in self.sight.loose:
            if cell.away + 4 < best[0]:
                best = cell.away + 4, cell, "cell"
        return best[1], best[2]

    # --- fighting ---

    def _foe(self, reach: float) -> Other | None:
        """The enemy to fight within reach; none where there is none."""
        foes = [o for o in self.sight.enemies() if o.away < reach]
        if not foes:
            return None
        if self.skill.picks_targets:
            worth = {"support": -3.0, "damage": -1.0, "tank": 1.5}
            return min(foes, key=lambda o: o.away + worth[o.kind] + abs(o.bearing))
        return foes[0]

    def _attack(self, foe: Other, *, only: bool = False) -> None:
        """Lock on, close in and strike; `only` this class."""
        sight, kind = self.sight, self.sight.kind
        is_locked = sight.locked == foe.kind
        if not sight.locked:
            self._face(foe.bearing)
            if abs(foe.bearing) < 0.5:
                self.press("LockOn")
        elif not is_locked and (only or self.player._steps % 6 == 0):
            self.press("SwitchLockOnTarget")
        stand = _STAND[kind]
        if foe.away > stand:
            self._steer(Mark(foe.bearing, foe.away - stand * 0.5))
        else:
            back = 0.6 if kind == "support" and foe.away < stand - 2 else 0.0
            self.heading = foe.bearing + self._strafe(foe) * (math.pi / 2 + back)
            self.pace = 0.75
        may_strike = not only or is_locked or (not sight.locked and abs(foe.bearing) < 0.5)
        if not may_strike:
            return
        beside = [
            o
            for o in sight.enemies()
            if only
            and o.kind != foe.kind
            and o.away < 3.2
            and abs(wrapped(o.bearing - foe.bearing)) < 1.2
        ]
        if (
            not beside
            and foe.away < _MELEE_REACH[kind]
            and self.player.rng.random() < self.skill.attack_share
        ):
            self.press("MeleeAttack")
        if not beside:
            self._use_abilities(foe, only=only)

    def _strafe(self, foe: Other) -> int:
        """The side on which to circle an enemy."""
        if self.skill.is_plain:
            return 1 if self._is_clear(foe.bearing + math.pi / 2, 1.8) else -1
        if self.player.rng.random() < 0.08:
            self.player._strafe = -self.player._strafe
        return self.player._strafe

    def _use_abilities(self, foe: Other, *, only: bool = False) -> None:
        """Use what is worth it; what hits all around not beside others where `only` this class is meant."""
        sight, ready = self.sight, self.sight.ready
        if self.player.rng.random() >= self.skill.ability_share:
            return
        near = sum(o.away < 4.5 for o in sight.enemies())
        spares = only and any(o.kind != foe.kind and o.away < 6.5 for o in sight.enemies())
        wishes = {
            "tank": (
                3 < foe.away < 6.5,
                foe.away < 4 and sight.health < 0.6,
                5 < foe.away < 10.5,
                near >= (1 if only else 2) and not spares,
            ),
            "support": (False, False, False, False),
            "damage": (
                3 < foe.away < 7,
                4 < foe.away < 14,
                foe.away < 3.2 and not spares,
                foe.away < 4,
            ),
        }[sight.kind]
        for name, is_ready, wish in zip(_ABILITY, ready, wishes, strict=False):
            if is_ready and wish:
                self.press(name)
                return

    def _use_support(self) -> None:
        """A support's abilities, which need no enemy."""
        sight, ready = self.sight, self.sight.ready
        if sight.kind != "support" or self.player.rng.random() >= self.skill.ability_share:
            return
        wounded = [health for _, health in sight.allies if 0 < health < self.skill.heal_below]
        is_near = any(o.ally and o.away < 11 for o in sight.others)
        myself = sight.health < self.skill.heal_below
        if ready[3] and is_near and len(wounded) + myself >= 2:
            self.press("SuperAbility")
        elif ready[0] and ((wounded and is_near) or myself):
            self.press("SpecialAbility1")
        elif ready[1] and (len(wounded) + myself >= 2 or sight.health < 0.5):
            self.press("SpecialAbility2")
        elif ready[2] and is_near and any(o.away < 8 for o in sight.enemies()):
            self.press("SpecialAbility3")

    def _release(self) -> None:
        """Let the lock-on go."""
        if self.sight.locked:
            self.press("LockOn")

    # --- walking ---

    def _face(self, bearing: float) -> None:
        self.turn = 0.0 if abs(bearing) < 0.1 else max(-1.0, min(1.0, bearing * 2.2))

    def _look_round(self, what: str) -> str:
        self.turn = 0.75
        return f"no {what} in sight: look round"

    def _travel(self, goal: Mark, ride_until: float = 6.0) -> None:
        """Walk to a place, on the board where it is far."""
        sight = self.sight
        is_calm = all(o.away > 6 for o in sight.enemies())
        if self.skill.rides and not sight.mounted and sight.ready[5] and is_calm:
            if goal.away > _RIDE_BEYOND:
                self.press("Mount")
        elif sight.mounted and goal.away < ride_until:
            self.press("Mount")
        self.player.course.follow(goal.away)
        self._steer(goal)
        if not sight.locked:
            self._face(goal.bearing)

    def _steer(self, goal: Mark) -> None:
        """Head for a place, round what stands in the way."""
        course = self.player.course
        course.look(self.sight, goal.away)
        if course.detour > 0:
            course.detour -= 1
            self.heading = goal.bearing + 1.7 * course.side
            return
        reach = min(3.0, goal.away)
        for swing in _SWINGS:
            bearing = goal.bearing + swing * (1 if self.skill.is_plain else course.side)
            if self._is_clear(bearing, reach):
                if swing < 0 and not self.skill.is_plain:
                    course.side = -course.side
                self.heading = bearing
                return
        self.heading = goal.bearing
        self.press("Jump")

    def _is_clear(self, bearing: float, reach: float) -> bool:
        away = 0.9
        while away <= reach:
            if not self.sight.is_free(bearing, away):
                return False
            away += 0.9
        return True


def side(bearing: float) -> str:
    """The side of the view on which something lies, in words."""
    if abs(bearing) < 0.35:
        return "ahead"
    if abs(bearing) > 2.4:
        return "behind"
    return "on the right" if bearing > 0 else "on the left"

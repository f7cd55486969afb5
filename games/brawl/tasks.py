"""Tasks: what a fighter is told to do in brawl-v0, in words, and the judge of it.

Success is judged by the match's state alone: where the fighter stands, whom it hurt, what it brought home.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from games.brawl.arena import POINT_RADIUS
from games.brawl.fighter import TEAM_SIZE
from games.brawl.order import Order
from games.brawl.state import MatchState

DEFEND_STEPS, LEAVING = 100, 0.5
"""Steps on the point, and how many of them each step off it takes back."""
STAY_STEPS, STAY_METERS = 100, 5.0
FOCUS_DAMAGE, FOCUS_SHARE = 100.0, 0.7
"""Damage to the one that is to be attacked, and its share in all that was done."""
CELLS_HOME = 2
MATCH_LIMIT = 1800
_ROLE_SEATS = (0, 2, 3)
"""The same for all roles: so a seed gives the same match and fighter whatever it is told."""
_EARLY_SCORE, _SECONDS = 50, 60
"""Score and time left with which a role begins, so that the match does not end before it."""


@dataclass(frozen=True)
class Goal:
    """The goal of one episode: a task's name, the instruction, and what it is about."""

    task: str
    instruction: str
    order: Order


@dataclass(frozen=True)
class Task:
    """A kind of goal: its paraphrases by what it is about, the seats of a team that may get it, its limit in steps."""

    name: str
    paraphrases: dict[Order, tuple[str, ...]]
    seats: tuple[int, ...]
    limit: int

    @property
    def sentences(self) -> tuple[str, ...]:
        """The paraphrases of all variants."""
        return tuple(sentence for variant in self.paraphrases.values() for sentence in variant)


@dataclass(frozen=True)
class Verdict:
    """Judgement of the state: progress in [0, 1], and whether the goal is reached."""

    progress: float = 0.0
    success: bool = False


def _defend(letter: str) -> tuple[str, ...]:
    return (
        f"defend point {letter}",
        f"hold point {letter}",
        f"stand on {letter} and keep it ours",
        f"take {letter} and stay there",
        f"guard the point {letter}",
        f"go to {letter} and hold it",
        f"don't let them have point {letter}",
        f"we need {letter}, keep it",
    )


_STAY = (
    "stay with your healer",
    "stay close to our support",
    "protect the healer",
    "follow your support",
    "don't leave our healer alone",
    "stick to the support",
    "guard our healer",
    "keep beside the healer",
    "escort your support",
    "be our support's bodyguard",
)
_FOCUS_SUPPORT = (
    "focus their support",
    "attack their healer",
    "kill the enemy support first",
    "go after their healer",
    "hit the enemy healer",
    "hunt their support",
    "their support is your target",
    "take out their healer",
    "get the enemy support",
    "lock on to their healer and attack",
)
_FOCUS_TANK = (
    "focus their tank",
    "attack the enemy tank",
    "fight their tank",
    "go after the big one",
    "hit the enemy's bulwark",
    "hunt their tank",
    "their tank is your target",
    "take their tank down",
    "get the one with the hammer",
    "lock on to their tank and attack",
)
_CELLS = (
    "bring the cells home",
    "fetch the power cells",
    "carry cells to our base",
    "collect power cells",
    "get the yellow cells and bring them back",
    "bring power cells to the base",
    "go for the cells",
    "pick up cells and take them home",
    "we need power cells",
    "deliver the cells",
)
_WIN = (
    "win the match",
    "play to win",
    "help your team to win",
    "fight and take the points",
    "beat the other team",
    "let's win this",
)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("defend_point", {Order("defend", p): _defend(p) for p in "ABC"}, _ROLE_SEATS, 450),
        Task("stay_with_healer", {Order("escort", "support"): _STAY}, _ROLE_SEATS, 350),
        Task("focus_support", {Order("focus", "support"): _FOCUS_SUPPORT}, _ROLE_SEATS, 400),
        Task("focus_tank", {Order("focus", "tank"): _FOCUS_TANK}, _ROLE_SEATS, 400),
        Task("bring_cells", {Order("cells"): _CELLS}, _ROLE_SEATS, 450),
        Task("win_match", {Order("win"): _WIN}, (0, 1, 2, 3), MATCH_LIMIT),
    )
}
"""All tasks by name; the last is a whole match, the others are roles of half a minute within one."""
ROLES = tuple(name for name in TASKS if name != "win_match")
ORDERS: dict[str, Order] = {
    sentence: order
    for task in TASKS.values()
    for order, sentences in task.paraphrases.items()
    for sentence in sentences
}
"""What each instruction asks for."""


class Judge:
    """Judges one episode of a fighter; `update` after each step."""

    def __init__(self, goal: Goal, match: MatchState, seat: int) -> None:
        self.goal, self.match, self.f = goal, match, match.fighters[seat]
        self._damage = list(self.f.damage)
        self._delivered = self.f.delivered
        self._steps = 0.0
        self.verdict = Verdict()

    def update(self) -> Verdict:
        """The verdict after a step; what was reached stays reached."""
        if not self.verdict.success:
            self.verdict = self._judge()
        return self.verdict

    def _judge(self) -> Verdict:
        f, match, order = self.f, self.match, self.goal.order
        match order.kind:
            case "defend":
                point = match.objectives.points["ABC".index(order.about)]
                stands = math.hypot(f.x - point.x, f.y - point.y) < POINT_RADIUS and f.alive
                self._steps = self._steps + 1 if stands else max(0.0, self._steps - LEAVING)
                return _share(self._steps / DEFEND_STEPS)
            case "escort":
                friend = next(
                    g for g in match.fighters if g.team == f.team and g.kind.name == order.about
                )
                near = math.hypot(f.x - friend.x, f.y - friend.y) < STAY_METERS
                self._steps += near and f.alive and friend.alive
                return _share(self._steps / STAY_STEPS)
            case "focus":
                return self._judge_focus(order.about)
            case "cells":
                home = f.delivered - self._delivered
                under_way = min(f.cells, CELLS_HOME - home) / 2
                return Verdict(min(1.0, (home + under_way) / CELLS_HOME), home >= CELLS_HOME)
            case "win":
                won = match.is_over and match.winner == f.team
                return Verdict(min(1.0, match.score[f.team] / 100), won)
        return Verdict()

    def _judge_focus(self, kind: str) -> Verdict:
        done = [now - then for now, then in zip(self.f.damage, self._damage, strict=True)]
        wanted = sum(
            amount
            for amount, g in zip(done, self.match.fighters, strict=True)
            if g.kind.name == kind
        )
        is_focused = wanted >= FOCUS_SHARE * sum(done)
        progress = min(1.0, wanted / FOCUS_DAMAGE)
        return Verdict(progress if is_focused else progress / 2, progress == 1 and is_focused)


def has_time(match: MatchState) -> bool:
    """Whether the match surely goes on for a role's time."""
    return match.seconds_left > _SECONDS and max(match.score) <= _EARLY_SCORE


def can_begin(match: MatchState, seat: int) -> bool:
    """Whether a role may begin now: the fighter stands well, and nothing that a role asks for is the case already."""
    f, healer = match.fighters[seat], match.fighters[seat // TEAM_SIZE * TEAM_SIZE + 1]
    if not (f.alive and healer.alive) or f.cells or f.mounted or f.health < 0.8 * f.kind.health:
        return False
    is_away = all(
        math.hypot(f.x - point.x, f.y - point.y) > 2 * POINT_RADIUS
        for point in match.objectives.points
    )
    return is_away and math.hypot(f.x - healer.x, f.y - healer.y) > 2 * STAY_METERS


def _share(progress: float) -> Verdict:
    return Verdict(min(1.0, progress), progress >= 1)

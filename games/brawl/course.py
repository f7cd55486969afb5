"""Course: how a player gets round what stands in its way, and whether it gets anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

from games.brawl.sight import Sight

_STILL, _STUCK_STEPS, _DETOUR_STEPS = 0.25, 6, 8
"""Meters below which a decision moved nothing, steps after which that is stuck, and steps to the side then."""
_NEARER, _NOWHERE_STEPS, _JUMP = 0.7, 30, 3.0
"""Meters that count as nearer, steps without them after which a way leads nowhere, and meters that are a new goal."""


@dataclass
class Course:
    """What a player remembers of its way; `reaction` are the steps from one decision to the next."""

    reaction: int
    side: int = 1
    """The side on which it goes round obstacles: 1 right, -1 left."""
    detour: int = 0
    """Decisions for which it still goes to that side."""
    _place: tuple[float, float] = (0.0, 0.0)
    _still: int = 0
    _away: float = 0.0
    _nearest: float = 0.0
    _steps: int = 0

    def forget(self) -> None:
        """Begin anew, as where somebody else played the last step: what came of that says nothing of this way."""
        self.detour = self._still = self._steps = 0
        self._away = math.inf

    def follow(self, away: float) -> None:
        """Note that a goal is `away` meters off, and turn to the other side where it has come no nearer for long."""
        if away > 1.5 and self._gets_nowhere(away):
            self._turn(2 * _DETOUR_STEPS)

    def look(self, sight: Sight, away: float) -> None:
        """Note the surroundings, and turn to the other side where they have not moved for long."""
        if away > 1.5 and self.detour == 0 and self._is_stuck(sight):
            self._still = 0
            self._turn(_DETOUR_STEPS)

    def _turn(self, steps: int) -> None:
        self.side = -self.side
        self.detour = math.ceil(steps / self.reaction)

    def _is_stuck(self, sight: Sight) -> bool:
        marks = [*sight.points.values(), *sight.loose, *([sight.home] if sight.home else [])]
        place = sum(m[1] * math.cos(m[0]) for m in marks), sum(m[1] * math.sin(m[0]) for m in marks)
        self._still = self._still + 1 if math.dist(place, self._place) < _STILL else 0
        self._place = place
        return self._still * self.reaction > _STUCK_STEPS

    def _gets_nowhere(self, away: float) -> bool:
        is_other = abs(away - self._away) > _JUMP
        if is_other or away < self._nearest - _NEARER:
            self._nearest, self._steps = away, 0
        self._away = away
        self._steps += self.reaction
        if self._steps < _NOWHERE_STEPS:
            return False
        self._nearest, self._steps = away, 0
        return True

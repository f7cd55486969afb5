"""Command: one step's action of a fighter as small whole numbers, as replay files hold it."""

from __future__ import annotations

import math
from typing import NamedTuple

from games.brawl.spec import SPEC
from games.controls import Button, Stick
from games.spec import Action

BUTTONS = tuple(control.name for control in SPEC.controls if isinstance(control, Button))
BIT = {name: 1 << i for i, name in enumerate(BUTTONS)}
LEFT, RIGHT = (control for control in SPEC.controls if isinstance(control, Stick))
ROTATIONS, MAGNITUDES = LEFT.rotation_bins, LEFT.magnitude_bins
DIRECTION = tuple(
    (math.sin(math.tau * i / ROTATIONS), math.cos(math.tau * i / ROTATIONS))
    for i in range(ROTATIONS)
)
"""Right and up of each rotation bin."""


class Command(NamedTuple):
    """Buttons as bits in the order of the spec, and each stick's rotation bin and magnitude level (0 is rest)."""

    buttons: int = 0
    left: int = 0
    left_level: int = 0
    right: int = 0
    right_level: int = 0

    @property
    def action(self) -> Action:
        """The action in the spec's words."""
        action: Action = {name: int(bool(self.buttons & bit)) for name, bit in BIT.items()}
        action[LEFT.name] = _polar(self.left, self.left_level)
        action[RIGHT.name] = _polar(self.right, self.right_level)
        return action


REST = Command()


def command_of(action: Action) -> Command:
    """The command of an action, which may be partial; raises `ActionError` for an illegal one."""
    whole = SPEC.normalize(action)
    buttons = sum(bit for name, bit in BIT.items() if whole[name])
    return Command(buttons, *_bins(whole[LEFT.name]), *_bins(whole[RIGHT.name]))


def stick(angle: float, magnitude: float) -> tuple[int, int]:
    """Rotation bin and level nearest to an angle in radians (0 is up, clockwise) and a magnitude up to 1."""
    level = min(MAGNITUDES, round(magnitude * MAGNITUDES))
    return (round(angle * ROTATIONS / math.tau) % ROTATIONS if level else 0), level


def _bins(value: tuple[float, float]) -> tuple[int, int]:
    angle, magnitude = value
    level = round(magnitude * MAGNITUDES)
    return (round(angle * ROTATIONS / 360) % ROTATIONS if level else 0), level


def _polar(rotation: int, level: int) -> tuple[float, float]:
    return (rotation * 360 / ROTATIONS, level / MAGNITUDES) if level else (0.0, 0.0)

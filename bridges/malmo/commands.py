"""Commands: the lines of a step as an action of the block world.

A key stays as it is until a later step names it again, as in Minecraft. The camera turns at once and by exactly the
degrees that are asked for. It is not brought to the levels of the game's spec, which are a player's choice of turns and
no property of the world: a client that sees less of a turn than it asked for would ask again and turn too far.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bridges.malmo.wire import MAX_TURN_DEG, Command, WireError
from games.spec import Action
from games.voxel.spec import SPEC

BUTTONS = tuple(control.name for control in SPEC.controls if control.name != "camera")
NOTHING = ("", "0", "none")
"""Arguments of a command that asks for nothing."""
_ITEM = re.compile(r"(?:minecraft:)?([\w.-]{1,64})(?:#(\d{1,2}))?", re.ASCII)
_HOTBAR = re.compile(r"hotbar\.([1-9])")


@dataclass
class Inputs:
    """What one step asks for: buttons and a turn as an action, and what concerns the inventory."""

    action: Action
    turn_deg: tuple[float, float] = (0.0, 0.0)
    """Pitch and yaw, down and to the right."""
    equip: tuple[str, int | None] | None = None
    place: str | None = None
    slot: int | None = None
    unknown: list[str] = field(default_factory=list)
    """Verbs of commands that ask for something which the block world has not."""


class Keys:
    """Keys that are held."""

    def __init__(self) -> None:
        self._held = dict.fromkeys(BUTTONS, 0)

    def apply(self, commands: Iterable[Command]) -> Inputs:
        """The inputs of a step; raises `WireError` where a command's argument cannot be read."""
        inputs = Inputs({})
        for command in commands:
            self._read(command, inputs)
        inputs.action = self._held | {"camera": inputs.turn_deg}
        for one, other in SPEC.exclusive:
            if self._held[one] and self._held[other]:
                inputs.action |= {one: 0, other: 0}
        return inputs

    def _read(self, command: Command, inputs: Inputs) -> None:
        verb, argument = command.verb, command.argument
        if verb in self._held:
            self._held[verb] = _pressed(command)
        elif verb == "camera":
            inputs.turn_deg = _degrees(command)
        elif argument in NOTHING:
            return
        elif verb == "equip":
            inputs.equip = _item(command)
        elif verb == "place":
            inputs.place = _item(command)[0]
        elif match := _HOTBAR.fullmatch(verb):
            if _pressed(command):
                inputs.slot = int(match[1]) - 1
        else:
            inputs.unknown.append(verb)


def _pressed(command: Command) -> int:
    if command.argument not in ("0", "1"):
        raise WireError(f"{command.verb[:40]} takes 0 or 1, not {command.argument[:40]!r}")
    return int(command.argument)


def _degrees(command: Command) -> tuple[float, float]:
    try:
        pitch, yaw = map(float, command.argument.split())
    except ValueError:
        pitch = yaw = math.nan
    if not (abs(pitch) <= MAX_TURN_DEG and abs(yaw) <= MAX_TURN_DEG):
        raise WireError(f"camera takes two turns in degrees, not {command.argument[:40]!r}")
    return pitch, yaw


def _item(command: Command) -> tuple[str, int | None]:
    match = _ITEM.fullmatch(command.argument)
    if match is None:
        raise WireError(f"{command.verb} takes an item's name, not {command.argument[:40]!r}")
    return match[1], None if match[2] is None else int(match[2])

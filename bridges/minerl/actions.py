"""Actions between a game's controls and MineRL's action dicts, in both directions.

Keys and buttons of `games.minecraft` have the same names in MineRL. A task has some of them, `camera` as two floats in
degrees, and where it has no inventory screen (0.4.4) enums such as `craft`, which become choices with meanings of
MineRL's own. Turns are never truncated: 37.5 pixels of the recordings' mouse are 5.625 degrees, which is the bin 6.
Chat is never written: MineRL runs it as the server's commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from games import Action, ActionError, Button, Camera, Choice, Control, did_you_mean
from games.bins import MAX_BINS
from games.minecraft import SPEC


@dataclass(frozen=True)
class ActionMap:
    """Controls of one task, and what MineRL calls their values."""

    controls: tuple[Control, ...]
    """Those of `games.minecraft` that the task has, in their order, then a choice for each enum."""
    choices: Mapping[str, tuple[str, ...]]
    """By choice: the enum's values in the order of the control's options, the null option first."""
    absent: tuple[str, ...]
    """Controls of `games.minecraft` that the task lacks."""
    left_out: tuple[str, ...]
    """Keys of the task that no control presses."""

    def to_minerl(self, action: Action) -> dict[str, Any]:
        """An action of the game as MineRL's dict; keys that no control presses are not in it, which MineRL allows."""
        return {control.name: self._to_minerl(control, action) for control in self.controls}

    def from_minerl(self, action: Mapping[str, Any]) -> Action:
        """MineRL's dict, which may be partial, as a complete action of the game; turns go to the nearest bin.

        Raises `ActionError` for a key that the task does not have, and for a value of another kind.
        """
        names = [control.name for control in self.controls]
        for key in action:
            if key not in names and key not in self.left_out:
                raise ActionError(f"this task has no {key!r}{did_you_mean(key, names)}")
        return {
            control.name: self._from_minerl(control, action[control.name])
            if control.name in action
            else control.null
            for control in self.controls
        }

    def _to_minerl(self, control: Control, action: Action) -> Any:
        value = action.get(control.name, control.null)
        match control:
            case Camera():
                return np.array(control.normalize(value), np.float32)
            case Choice():
                return self.choices[control.name][control.normalize(value)]
        return control.normalize(value)

    def _from_minerl(self, control: Control, value: Any) -> Any:
        if isinstance(control, Choice):
            return self._option(control.name, value)
        plain = np.asarray(value).tolist()
        return control.normalize(plain)

    def _option(self, name: str, value: Any) -> int:
        """The option of an enum's value; MineRL also takes its place among the sorted values."""
        values = self.choices[name]
        text = str(value)
        if not isinstance(value, str) and text.isdecimal() and int(text) < len(values):
            text = sorted(values)[int(text)]
        if text not in values:
            raise ActionError(f"{name}: no value {text!r}{did_you_mean(text, values)}")
        return values.index(text)


def map_actions(spaces: Mapping[str, Any]) -> ActionMap:
    """The map of a task's action space: a gym space by key, told apart by their attributes.

    A space with `values` is an enum, one with `n` of 2 a button, one of shape (2,) the camera.
    """
    known = [c for c in SPEC.controls if c.name in spaces and _fits(c, spaces[c.name])]
    choices: dict[str, tuple[str, ...]] = {}
    enums: list[Control] = []
    for key, space in spaces.items():
        if (values := _values(space)) and key not in SPEC.by_name:
            choices[key] = values
            enums.append(_choice(key, values))
    named = {control.name for control in (*known, *enums)}
    return ActionMap(
        controls=(*known, *enums),
        choices=choices,
        absent=tuple(c.name for c in SPEC.controls if c.name not in named),
        left_out=tuple(key for key in spaces if key not in named),
    )


def _fits(control: Control, space: Any) -> bool:
    if isinstance(control, Camera):
        return tuple(getattr(space, "shape", None) or ()) == (2,)
    return isinstance(control, Button) and getattr(space, "n", None) == 2


def _values(space: Any) -> tuple[str, ...]:
    """An enum's values, that of doing nothing first; () for another space and for one that no control can hold."""
    values = tuple(map(str, getattr(space, "values", ())))
    if not 2 <= len(values) <= MAX_BINS:
        return ()
    null = str(space.no_op())
    return (null, *(value for value in values if value != null))


def _choice(key: str, values: tuple[str, ...]) -> Choice:
    """An item of a variant is `log#1` in MineRL, and the option `log.1`."""
    meaning = re.sub("(?<!^)(?=[A-Z])", "_", key).lower()
    options = tuple(value.replace("#", ".") for value in values)
    return Choice(name=key, meaning=f"minerl/{meaning}", options=options)

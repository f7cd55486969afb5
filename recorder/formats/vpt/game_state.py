"""Game state of a recording: open menu, selected slot and position beside the actions, as `state` events of a capture.

An action does not say whether a menu is open. What a game reports of itself (`state` of the protocol) stands in the
capture's events; of that the names of VPT's rows are written into rows. An import keeps a row's menu and slot the same
way. `pointer` is ours: where the pointer was when a menu opened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recorder.format.manifest import EVENTS, iter_lines

STATE = "state"
"""Kind of the event, and its key; both as `recorder.capture.tap` writes them."""
MENU, SLOT, POINTER = "isGuiOpen", "hotbar", "pointer"
POSITION = ("yaw", "pitch", "xpos", "ypos", "zpos")
"""Degrees and blocks, as in VPT's rows."""

State = dict[str, Any]


def states(folder: Path, steps: int) -> Iterator[State]:
    """What is known of the game at each step, by VPT's names; an empty dict where the capture has no such events."""
    events = _events(folder)
    following = next(events, None)
    known: State = {}
    for i in range(steps):
        while following is not None and following[0] <= i:
            known = {**known, **following[1]}
            following = next(events, None)
        yield known


def _events(folder: Path) -> Iterator[tuple[int, State]]:
    for _, row in iter_lines(folder / EVENTS):
        i, state = row.get("i"), row.get(STATE)
        if row.get("kind") == STATE and type(i) is int and isinstance(state, dict):
            fitting = {k: v for k, v in state.items() if k in _FITS and _FITS[k](v)}
            if fitting:
                yield i, fitting


def _is_slot(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 8


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_pixel(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


_FITS: dict[str, Callable[[Any], bool]] = {
    MENU: lambda value: isinstance(value, bool),
    "isGuiInventory": lambda value: isinstance(value, bool),
    SLOT: _is_slot,
    POINTER: _is_pixel,
    **dict.fromkeys(POSITION, _is_number),
}

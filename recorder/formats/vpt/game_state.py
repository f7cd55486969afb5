"""Game state of a recording: open menu, selected slot and position beside the actions, as `state` events of a capture.

An action does not say whether a menu is open. What a game reports of itself (`state` of the protocol) stands in the
capture's events; of that the names of VPT's rows are written into rows, and those that mean the same: `selected` (the
slot), `position` (x, y, z), `inventory` as numbers by item. An import keeps a row's menu and slot the same way.
`pointer` is ours: where the pointer was when a menu opened.
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
INVENTORY = "inventory"
MAX_ITEMS = 64
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
            named = {**state, **_renamed(state)}
            if fitting := {k: v for k, v in named.items() if k in _FITS and _FITS[k](v)}:
                yield i, fitting


def _renamed(state: State) -> State:
    """What has another name or form in VPT's rows."""
    renamed: State = {SLOT: state["selected"]} if _is_slot(state.get("selected")) else {}
    position, inventory = state.get("position"), state.get(INVENTORY)
    if isinstance(position, list) and len(position) == 3:
        renamed |= dict(zip(POSITION[2:], position, strict=True))
    if isinstance(inventory, dict):
        renamed[INVENTORY] = [{"type": k, "quantity": v} for k, v in inventory.items()]
    return renamed


def _is_slot(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 8


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_inventory(value: Any) -> bool:
    """Whether it is a list of items as VPT's rows have it: {"type": "oak_log", "quantity": 3}."""
    return (
        isinstance(value, list)
        and len(value) <= MAX_ITEMS
        and all(isinstance(item, dict) and item.keys() == {"type", "quantity"} for item in value)
        and all(isinstance(i["type"], str) and type(i["quantity"]) is int for i in value)
    )


def _is_pixel(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


_FITS: dict[str, Callable[[Any], bool]] = {
    MENU: lambda value: isinstance(value, bool),
    "isGuiInventory": lambda value: isinstance(value, bool),
    SLOT: _is_slot,
    POINTER: _is_pixel,
    INVENTORY: _is_inventory,
    **dict.fromkeys(POSITION, _is_number),
}

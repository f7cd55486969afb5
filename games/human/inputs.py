"""Inputs by name: keys, mouse buttons, a gamepad's buttons and the directions of its sticks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pygame

DIRECTIONS = ("up", "down", "left", "right")
MOUSE = "mouse"
"""The mouse's movement."""
GROUPS: Mapping[str, tuple[str, str, str, str]] = {
    "wasd": ("w", "s", "a", "d"),
    "arrows": ("up", "down", "left", "right"),
    "pad left stick": tuple(f"pad left stick {d}" for d in DIRECTIONS),  # type: ignore[dict-item]
    "pad right stick": tuple(f"pad right stick {d}" for d in DIRECTIONS),  # type: ignore[dict-item]
    "pad dpad": ("pad dpup", "pad dpdown", "pad dpleft", "pad dpright"),
}
"""Four inputs by the directions of a camera or stick."""
KEYS = {
    **{character: ord(character) for character in "abcdefghijklmnopqrstuvwxyz0123456789-=[];',./`"},
    "space": pygame.K_SPACE, "up": pygame.K_UP, "down": pygame.K_DOWN, "left": pygame.K_LEFT,
    "right": pygame.K_RIGHT, "left shift": pygame.K_LSHIFT, "right shift": pygame.K_RSHIFT,
    "left ctrl": pygame.K_LCTRL, "right ctrl": pygame.K_RCTRL, "left alt": pygame.K_LALT,
    "right alt": pygame.K_RALT, "home": pygame.K_HOME, "end": pygame.K_END,
    "page up": pygame.K_PAGEUP, "page down": pygame.K_PAGEDOWN, "insert": pygame.K_INSERT,
    "delete": pygame.K_DELETE, "caps lock": pygame.K_CAPSLOCK,
    **{f"f{i}": getattr(pygame, f"K_F{i}") for i in range(2, 13)},
    **{f"keypad {i}": getattr(pygame, f"K_KP{i}") for i in range(10)},
}  # fmt: skip
WINDOW_KEYS = {
    "t": "write", "tab": "hand over", "return": "next", "backspace": "record again",
    "escape": "quit", "f1": "help", "f2": "this world again",
}  # fmt: skip
"""The window's own keys, which no control can have."""
for _name in WINDOW_KEYS:
    KEYS.pop(_name, None)
KEY_NAMES = {number: name for name, number in KEYS.items()}
PLACES = {
    **{getattr(pygame, f"KSCAN_{c.upper()}"): c for c in "abcdefghijklmnopqrstuvwxyz"},
    **{getattr(pygame, f"KSCAN_{c}"): c for c in "1234567890"},
}
"""Letters and digits by their places."""
MOUSE_BUTTONS = {1: "mouse left", 2: "mouse middle", 3: "mouse right", 6: "mouse x1", 7: "mouse x2"}
"""4 and 5 are the wheel once more."""
PAD_BUTTONS = (
    *("a", "b", "x", "y", "back", "guide", "start", "leftstick", "rightstick"),
    *("leftshoulder", "rightshoulder", "dpup", "dpdown", "dpleft", "dpright"),
)
"""By SDL's number of a game controller's button."""
KNOWN_INPUTS = (
    *KEYS, *MOUSE_BUTTONS.values(), "mouse wheel up", "mouse wheel down", MOUSE, *GROUPS,
    *(f"pad {name}" for name in PAD_BUTTONS if name not in ("back", "start", "guide")),
    "pad lefttrigger", "pad righttrigger",
    *(name for group in GROUPS.values() for name in group if name.startswith("pad ")),
)  # fmt: skip
"""Everything that a file of controls may name; a gamepad's back and start are the window's own."""


def name_of(event: Any) -> str:
    """The name of a key event's key: letters and digits by their place on a US keyboard, whatever is printed there."""
    place, key = getattr(event, "scancode", 0), event.key
    return PLACES.get(place) or KEY_NAMES.get(key) or pygame.key.name(key) or f"key {key}"


def place_of(event: Any) -> int:
    """A key's place on the keyboard, its letter's number where that is not known."""
    return int(getattr(event, "scancode", None) or -event.key)

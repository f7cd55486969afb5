"""Gamepads: SDL's game controllers, which have the same buttons and sticks whatever they are called."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pygame
from pygame._sdl2 import controller

from games.human.hands import Hands
from games.human.inputs import PAD_BUTTONS

DEAD_ZONE = 0.18
"""How far a stick may rest from its middle."""
FULL = 32767
STICKS = {0: ("left stick", 0), 1: ("left stick", 1), 2: ("right stick", 0), 3: ("right stick", 1)}
"""By SDL's number of an axis: the stick, and 0 for right, 1 for down."""
TRIGGERS = {4: "lefttrigger", 5: "righttrigger"}
WINDOW_BUTTONS = {"start": "return", "back": "tab"}
"""The window's keys that a gamepad has too."""


class Gamepads:
    """Every gamepad that is attached, also while the window is open; all move the same hands."""

    def __init__(self, hands: Hands, press_key: Callable[[str], None]) -> None:
        self._hands, self._press_key = hands, press_key
        self._open: dict[int, Any] = {}
        self._sticks: dict[tuple[int, str], list[float]] = {}
        self.unknown = ""
        """The name of one that SDL does not know as a game controller."""
        pygame.joystick.init()
        controller.init()

    @property
    def names(self) -> list[str]:
        return [str(pad.name) for pad in self._open.values()]

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines about them for the help."""
        notes = [f"gamepad: {name} (Start: next, Back: agent)" for name in self.names]
        if self.unknown:
            notes.append(f"{self.unknown}: SDL knows no mapping, see SDL_GAMECONTROLLERCONFIG")
        return tuple(notes)

    def close(self) -> None:
        """Let SDL close them; one that is only forgotten would close another that came into its place."""
        for pad in self._open.values():
            pad.quit()
        self._open.clear()
        controller.quit()  # else SDL tells a later window nothing of gamepads

    def handle(self, event: Any, *, is_playing: bool) -> bool:
        """Take in an event of a gamepad; returns whether it was one.

        Where nothing is played, sticks and triggers are followed all the same: what is let go then stays let go.
        """
        if event.type == pygame.JOYDEVICEADDED:
            self._add(event.device_index)
        elif event.type == pygame.CONTROLLERDEVICEREMOVED:
            self._remove(event.instance_id)
        elif event.type == pygame.CONTROLLERBUTTONDOWN:
            self._press(event, is_playing)
        elif event.type == pygame.CONTROLLERBUTTONUP:
            self._hands.lift("gamepad", event.button)
        elif event.type == pygame.CONTROLLERAXISMOTION:
            self._move(event.instance_id, event.axis, event.value / FULL)
        else:
            return False
        return True

    def _add(self, index: int) -> None:
        if not controller.is_controller(index):
            self.unknown = str(controller.name_forindex(index) or "gamepad")
            return
        pad = controller.Controller(index)
        self._open[pad.id] = pad

    def _remove(self, number: int) -> None:
        if (pad := self._open.pop(number, None)) is not None:
            pad.quit()
        self._hands.release()

    def _press(self, event: Any, is_playing: bool) -> None:
        name = PAD_BUTTONS[event.button] if event.button < len(PAD_BUTTONS) else ""
        if name in WINDOW_BUTTONS:
            self._press_key(WINDOW_BUTTONS[name])
        elif name and is_playing:
            self._hands.press("gamepad", event.button, f"pad {name}")

    def _move(self, number: int, axis: int, value: float) -> None:
        if axis in TRIGGERS:
            amount = round(max(0.0, value), 2)
            self._hands.tilt(TRIGGERS[axis], amount, {f"pad {TRIGGERS[axis]}": amount})
        elif axis in STICKS:
            name, side = STICKS[axis]
            raw = self._sticks.setdefault((number, name), [0.0, 0.0])
            raw[side] = value
            right, down = _without_dead_zone(*raw)
            amounts = {"up": -down, "down": down, "left": -right, "right": right}
            named = {f"pad {name} {side}": max(0.0, amount) for side, amount in amounts.items()}
            self._hands.tilt(name, (round(right, 2), round(down, 2)), named)


def _without_dead_zone(right: float, down: float) -> tuple[float, float]:
    """A stick's position, 0 within the dead zone and growing from its edge to 1."""
    length = math.hypot(right, down)
    if length <= DEAD_ZONE:
        return 0.0, 0.0
    scale = (min(length, 1.0) - DEAD_ZONE) / (1 - DEAD_ZONE) / length
    return right * scale, down * scale

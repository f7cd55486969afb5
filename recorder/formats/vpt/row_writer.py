"""Rows of a recording, written: an action and its tick as a line of NAME.jsonl, the inverse of `actions`.

Keys and buttons that are down come from the action; `newKeys` and `newButtons` are those that were up in the row
before. In the first row none is new: a button of the mouse that begins as newly pressed is read as stuck. Degrees
become movements of the mouse by VPT's scale, 0.15 degrees a pixel, which need not be whole pixels.

`hotbar` is the slot whose key was pressed last outside of a menu, as readers take another slot for a press of its key.
What the game reported counts in the first row and after a gap, where no press is inferred.
"""

from __future__ import annotations

from typing import Any

from games import Action, GameSpec
from games.minecraft import DEGREES_PER_PIXEL
from games.minecraft import SPEC as MINECRAFT
from recorder.format.manifest import CaptureError
from recorder.formats.vpt.actions import BUTTONS, KEYS
from recorder.formats.vpt.game_state import MENU, POINTER, SLOT, State
from recorder.formats.vpt.picture_times import TICK_S

WINDOW = (720, 1280)
"""Height and width in pixels of the window that the pointer's positions refer to."""
_SLOTS = {f"hotbar.{slot + 1}": slot for slot in range(9)}
_KEY_OF = {control: key for key, control in KEYS.items()}
_BUTTON_OF = {control: button for button, control in enumerate(BUTTONS)}


class MinecraftControls:
    """The controls of a game as those of Minecraft: by meaning, or by name where a control has none."""

    def __init__(self, spec: GameSpec) -> None:
        """Raises `CaptureError` for a game with a control that Minecraft lacks, or of another rate."""
        by_meaning = {control.meaning: control for control in MINECRAFT.controls}
        names: dict[str, str] = {}
        for control in spec.controls:
            known = (
                by_meaning.get(control.meaning)
                if control.meaning
                else MINECRAFT.by_name.get(control.name)
            )
            if known is None or known.kind != control.kind or known.name in names:
                raise CaptureError(
                    f"{spec.id} has {control.name!r}, which Minecraft has no key for"
                )
            names[known.name] = control.name
        if spec.step_hz * TICK_S != 1:
            raise CaptureError(f"{spec.id} has {spec.step_hz:g} steps/s, VPT's recordings 20")
        self._camera = names.pop("camera", "")
        self._buttons = names
        """The game's control by Minecraft's name."""

    def pressed(self, action: Action) -> list[str]:
        """The buttons that are down, by Minecraft's names."""
        return [name for name, control in self._buttons.items() if action[control]]

    def camera(self, action: Action) -> tuple[float, float]:
        """Pitch and yaw in degrees."""
        return action[self._camera] if self._camera else (0.0, 0.0)


class RowWriter:
    """The rows of one episode, tick by tick."""

    def __init__(self, controls: MinecraftControls, begin_milli: int) -> None:
        self._controls, self._begin_milli = controls, begin_milli
        self._tick = -1
        self._keys: list[str] | None = None
        self._buttons: list[int] = []
        self._slot = 0
        self._pointer: tuple[float, float] | None = None

    def row(self, tick: int, action: Action, state: State) -> dict[str, Any]:
        """The row of a tick, each higher than the last one's; `state` as `game_state.states` has it."""
        pressed = self._controls.pressed(action)
        keys = [_KEY_OF[name] for name in pressed if name in _KEY_OF]
        buttons = [_BUTTON_OF[name] for name in pressed if name in _BUTTON_OF]
        pitch, yaw = self._controls.camera(action)
        dx, dy = yaw / DEGREES_PER_PIXEL, pitch / DEGREES_PER_PIXEL
        is_menu = bool(state.get(MENU, False))
        self._select(tick, pressed, state, is_menu)
        x, y = self._point(dx, dy, state, is_menu)
        is_first = self._keys is None
        row = {
            "mouse": {
                "x": x, "y": y, "dx": dx, "dy": dy,
                "scaledX": x - WINDOW[1] / 2, "scaledY": y - WINDOW[0] / 2, "dwheel": 0.0,
                "buttons": buttons,
                "newButtons": [] if is_first else [b for b in buttons if b not in self._buttons],
            },
            "keyboard": {
                "keys": keys,
                "newKeys": [key for key in keys if key not in (keys if self._keys is None else self._keys)],
                "chars": "",
            },
            "isGuiOpen": is_menu,
            "isGuiInventory": bool(state.get("isGuiInventory", False)),
            "hotbar": self._slot,
            **{name: value for name, value in state.items() if name not in (MENU, SLOT, POINTER, "isGuiInventory")},
            "tick": tick,
            "milli": self._begin_milli + round(1000 * TICK_S) * tick,
        }  # fmt: skip
        self._tick, self._keys, self._buttons = tick, keys, buttons
        return row

    def _select(self, tick: int, pressed: list[str], state: State, is_menu: bool) -> None:
        if tick != self._tick + 1 or self._keys is None:
            self._slot = state.get(SLOT, self._slot)
        slots = [_SLOTS[name] for name in pressed if name in _SLOTS]
        if slots and not is_menu:
            self._slot = max(slots)

    def _point(self, dx: float, dy: float, state: State, is_menu: bool) -> tuple[float, float]:
        """The pointer in the window: from where it was when the menu opened, moved by the mouse."""
        height, width = WINDOW
        if not is_menu:
            self._pointer = None
            return width / 2, height / 2
        if self._pointer is None:
            x, y = state.get(POINTER, (width / 2, height / 2))
        else:
            x, y = self._pointer[0] + dx, self._pointer[1] + dy
        self._pointer = (min(max(float(x), 0.0), width), min(max(float(y), 0.0), height))
        return self._pointer

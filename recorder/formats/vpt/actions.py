"""Actions of a VPT recording: keys, buttons and mouse of a tick as an action of `games.minecraft`.

Corrected as VPT's data loader does (github.com/openai/Video-Pre-Training, data_loader.py): an attack that the first
tick reports as newly pressed may be stuck, and counts only once it is let go or pressed again; a slot chosen with the
wheel shows only as another `hotbar`, and becomes a press of that slot's key; while a menu is open, some versions of the
recorder scaled the mouse's movement.

The mouse turns the camera by the game's bins. What is smaller than a bin is carried into the next tick, so that the
sum over an episode is right to within one bin. While a menu is open the mouse moves the pointer, and `camera` is that
movement in the same unit (0.15 degrees a pixel), as in VPT. It is carried alike, so that the pointer's way can be
told from the actions; nothing is carried from the menu to the world or back. ESC is an ordinary button. In BASALT it
opens the menu in which the player leaves the world, which ends the task: the last press of an episode.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from games import Action, Camera
from games.minecraft import DEGREES_PER_PIXEL
from recorder.formats.vpt.reader import Tick

_KEYS = {
    "w": "forward",
    "s": "back",
    "a": "left",
    "d": "right",
    "space": "jump",
    "left.shift": "sneak",
    "left.control": "sprint",
    "e": "inventory",
    "q": "drop",
    "f": "swapHands",
    "escape": "ESC",
    **{str(slot): f"hotbar.{slot}" for slot in range(1, 10)},
}
KEYS = {f"key.keyboard.{key}": control for key, control in _KEYS.items()}
"""The control of `games.minecraft` that a key presses, by the key's name."""
BUTTONS = ("attack", "use", "pickItem")
"""The control that each button of the mouse presses, by its number."""
MENU_SCALES = {"5.7": 0.5, "5.8": 0.5, "6.7": 2.0, "6.8": 2.0, "6.9": 2.0}
"""Factor of dx and dy while a menu is open, by recorder version (`MINEREC_VERSION_SPECIFIC_SCALERS` of VPT's
data_loader.py); 1 for all others."""
_ROUNDING = 1e-6
"""Degrees by which a sum of movements may miss a bin that it equals."""


@dataclass
class Turn:
    """A camera's movement along one axis, rounded toward zero to its bins; the rest is carried."""

    bins: tuple[float, ...]
    rest: float = 0.0

    def by(self, degrees: float) -> tuple[float, bool]:
        """The bin of this tick, and whether the movement was clipped; what was clipped is not carried."""
        total = self.rest + degrees
        lowest, highest = self.bins[0], self.bins[-1]
        if not lowest - _ROUNDING <= total <= highest + _ROUNDING:
            self.rest = 0.0
            return (highest if total > 0 else lowest), True
        if total >= 0:
            value = self.bins[bisect_right(self.bins, total + _ROUNDING) - 1]
        else:
            value = self.bins[bisect_left(self.bins, total - _ROUNDING)]
        self.rest = total - value
        return value, False


@dataclass(frozen=True)
class TickAction:
    """The action of a tick, and by how many degrees at most the mouse moved where that was clipped (else 0)."""

    action: Action
    clipped_degrees: float


class ActionReader:
    """The actions of one recording, tick by tick.

    Every tick is passed to `read`, in order, also those that are not imported: an attack stays stuck over them.
    """

    def __init__(self, camera: Camera, version: str = "") -> None:
        self._pitch, self._yaw = Turn(camera.pitch_bins), Turn(camera.yaw_bins)
        self._menu_scale = MENU_SCALES.get(version, 1.0)
        self._is_first = True
        self._is_stuck = False
        self._hotbar: int | None = None
        self._menu = False

    def skip(self, tick: Tick) -> None:
        """Pass over a tick that is not imported."""
        held, new = 0 in tick.mouse.buttons, 0 in tick.mouse.new_buttons
        self._is_stuck = held and new if self._is_first else self._is_stuck and held and not new
        self._is_first = False

    def read(self, tick: Tick, *, follows: bool) -> TickAction:
        """The action of a tick, its camera on the bins.

        `follows` says whether it comes right after the last one that was read: over a gap no press is inferred from
        another slot, and no movement carried.
        """
        self.skip(tick)
        action = _pressed(tick)
        if self._is_stuck:
            del action["attack"]
        slots = (self._hotbar, tick.hotbar)
        if follows and None not in slots and slots[0] != slots[1]:
            action[f"hotbar.{(tick.hotbar or 0) + 1}"] = 1
        if not follows or tick.menu != self._menu:
            self._pitch.rest = self._yaw.rest = 0.0
        self._hotbar, self._menu = tick.hotbar, tick.menu
        scale = DEGREES_PER_PIXEL * (self._menu_scale if tick.menu else 1.0)
        degrees = (tick.mouse.dy * scale, tick.mouse.dx * scale)
        (pitch, is_pitch_clipped), (yaw, is_yaw_clipped) = (
            self._pitch.by(degrees[0]),
            self._yaw.by(degrees[1]),
        )
        action["camera"] = (pitch, yaw)
        is_clipped = is_pitch_clipped or is_yaw_clipped
        return TickAction(action, max(map(abs, degrees)) if is_clipped else 0.0)


def _pressed(tick: Tick) -> Action:
    """The buttons of a tick, uncorrected; keys and buttons without a control are ignored."""
    names = [KEYS[key] for key in tick.keyboard.keys if key in KEYS]
    names += [BUTTONS[b] for b in tick.mouse.buttons if 0 <= b < len(BUTTONS)]
    return dict.fromkeys(names, 1)

"""Hands of a person: keys, mouse and gamepad as one legal action per step, and the raw inputs behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from games.controls import Axis, Button, Camera, Choice, Control, Stick, Text
from games.human.bindings import Bindings, Target
from games.human.inputs import DIRECTIONS, MOUSE
from games.spec import Action, GameSpec

IDLE_SECONDS = 10.0
"""Seconds of play without any input after which nobody is playing."""
INPUTS_MAX = 64
"""Raw inputs of one step; what is beyond comes from no hand."""
PRESSED = 0.5
"""How far a trigger or stick is moved to count as a button."""
STICK_PIXELS_PER_SECOND = 600.0
"""Movement of the mouse that is a stick's full deflection."""

Device = Literal["keyboard", "mouse", "gamepad"]
Place = tuple[Device, int]


@dataclass(frozen=True)
class RawInput:
    """Something that went down (1) or up (0), turns of the wheel, pixels right and down, or a stick from -1 to 1."""

    device: Device
    code: str
    value: int | float | tuple[float, float]


class Hands:
    """Keys, buttons, mouse and gamepad as one legal action per step.

    Camera movement is rounded down to the camera's bins; the rest is carried into the next step, so that the
    recorded action is exactly the one executed and no movement is lost. What goes down and up between two steps
    acts for one step.
    """

    def __init__(self, spec: GameSpec, bindings: Bindings) -> None:
        self.spec, self.bindings = spec, bindings
        self.down: dict[Place, tuple[str, Target | None]] = {}
        """What is down, by its number: each its name and what it moves."""
        self.words = ""
        """What the next step says in the game's own text control."""
        self._amounts: dict[str, float] = {}
        """How far each direction of a gamepad's sticks and triggers is moved, 0 to 1, by the input's name."""
        self._tapped: list[Target] = []
        self._carried: dict[str, tuple[float, float]] = {}
        """Degrees of each camera that are not turned yet."""
        self._inputs: list[RawInput] = []
        self._before: dict[Place, str] | None = None
        """What was down when the inputs were muted."""
        self._path = (0, 0)
        self._has_moved = self._has_acted = self._is_steered = False
        self._idle_steps = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing has been touched for `IDLE_SECONDS` of play."""
        return self._idle_steps > IDLE_SECONDS * self.spec.step_hz

    def press(self, device: Device, number: int, code: str) -> None:
        """A key or button goes down; `number` is its place, which stays when the keyboard's layout is changed."""
        if (device, number) in self.down:
            return
        target = self.bindings.targets.get(code)
        self.down[device, number] = code, target
        self._tap(target)
        self._note(RawInput(device, _short(code), 1))

    def lift(self, device: Device, number: int) -> None:
        """A key or button goes up; one that was not pressed here is ignored."""
        if (pressed := self.down.pop((device, number), None)) is not None:
            self._note(RawInput(device, _short(pressed[0]), 0))

    def tilt(
        self, code: str, value: float | tuple[float, float], amounts: dict[str, float]
    ) -> None:
        """A stick (right, down) or a trigger of the gamepad is moved; `amounts` by input are 0 at rest."""
        for name, amount in amounts.items():
            if amount >= PRESSED > self._amounts.get(name, 0.0):
                self._tap(self.bindings.targets.get(name))
            self._amounts[name] = amount
        self._note(RawInput("gamepad", code, value))

    def look(self, dx: int, dy: int) -> None:
        """Add a mouse movement in pixels, right and down."""
        self._path = (self._path[0] + dx, self._path[1] + dy)
        self.touch()

    def wheel(self, turns: int) -> None:
        """The mouse wheel, which acts for one step."""
        self._tap(self.bindings.targets.get(f"mouse wheel {'up' if turns > 0 else 'down'}"))
        self._note(RawInput("mouse", "wheel", turns))

    def touch(self) -> None:
        """Somebody is there."""
        self._has_moved = True

    def take_acted(self) -> bool:
        """Whether a control was pressed since the last call; the mouse's movement alone does not count."""
        acted, self._has_acted = self._has_acted, False
        return acted

    def action(self) -> Action:
        """The action of this step."""
        is_held = bool(self.down) or any(a >= PRESSED for a in self._amounts.values())
        self._idle_steps = 0 if self._has_moved or is_held else self._idle_steps + 1
        self._has_moved = False
        moved = self._moved()
        held = self._without_opposed(moved)
        action = {}
        for control in self.spec.controls:
            action[control.name] = self._value(control, moved, held)
        self._tapped.clear()
        self._path, self.words = (0, 0), ""
        return self.spec.normalize(action)

    def take_inputs(self) -> list[RawInput]:
        """The raw inputs since the last call; the mouse's movement is one of them, summed. Before `action`."""
        inputs, self._inputs = self._inputs, []
        if self._path != (0, 0):
            inputs.append(RawInput("mouse", "move", self._path))
        return inputs

    def release(self) -> None:
        """Let go of everything and forget the mouse movement."""
        for device, number in list(self.down):
            self.lift(device, number)
        self._amounts.clear()
        self.forget()

    def forget(self) -> None:
        """Forget the mouse movement and short presses; what is down stays down."""
        self._carried.clear()
        self._path = (0, 0)
        self._tapped.clear()
        self._has_acted = False

    def mute(self) -> None:
        """Note no raw inputs: they are of a text, or of another window."""
        self.forget()
        self._before = {place: code for place, (code, _) in self.down.items()}

    def unmute(self) -> None:
        """Note inputs again, first what is down now and was not, or the other way round."""
        before, self._before = self._before or {}, None
        self.forget()
        now = {place: code for place, (code, _) in self.down.items()}
        for place in before.keys() - now:
            self._note(RawInput(place[0], _short(before[place]), 0))
        for place in now.keys() - before:
            self._note(RawInput(place[0], _short(now[place]), 1))

    def restate(self) -> None:
        """Begin anew: of the inputs so far only what is still down counts, as if it went down now."""
        self._inputs = []
        self._before = {}
        self.unmute()

    def _tap(self, target: Target | None) -> None:
        if target is not None:
            self._tapped.append(target)
            self._has_acted = True

    def _moved(self) -> dict[Target, float]:
        """How far each target is moved, 0 to 1, the oldest press first."""
        moved: dict[Target, float] = {}
        for target in (t for _, t in self.down.values() if t is not None):
            moved[target] = 1.0
        for name, amount in self._amounts.items():
            tilted = self.bindings.targets.get(name)
            if tilted is not None and amount > 0:
                moved[tilted] = max(moved.get(tilted, 0.0), amount)
        for target in self._tapped:
            moved.setdefault(target, 1.0)
        return moved

    def _without_opposed(self, moved: dict[Target, float]) -> set[str]:
        """The buttons that are down: of two that exclude each other neither, of more the one that came last."""
        held = [target.control for target, amount in moved.items() if amount >= PRESSED]
        down = {name for name in held if isinstance(self.spec.by_name[name], Button)}
        for group in self.spec.exclusive:
            both = [name for name in held if name in group and name in down]
            if len(both) > 1:
                down -= set(both if len(group) == 2 else both[:-1])
        return down

    def _value(self, control: Control, moved: dict[Target, float], held: set[str]) -> Any:
        amounts = {target.part: a for target, a in moved.items() if target.control == control.name}
        has_mouse = self.bindings.targets.get(MOUSE) == Target(control.name, MOUSE)
        match control:
            case Button():
                return int(control.name in held)
            case Camera():
                return self._turn(control, amounts, has_mouse)
            case Stick():
                return self._stick(amounts, has_mouse)
            case Axis():
                null = control.null
                rise = (control.high - null) * amounts.get("high", 0.0)
                return null + rise + (control.low - null) * amounts.get("low", 0.0)
            case Choice():
                chosen = [part for part, amount in amounts.items() if amount >= PRESSED]
                return control.options.index(chosen[-1]) if chosen else 0
            case Text():
                return self.words[: control.max_length]

    def _turn(
        self, camera: Camera, amounts: dict[str, float], has_mouse: bool
    ) -> tuple[float, float]:
        """The camera's turn of this step in its bins; what is left of it is carried over."""
        right, down = _direction(amounts)
        speed = self.bindings.degrees_per_second / self.spec.step_hz
        per_pixel = self.bindings.degrees_per_pixel if has_mouse else 0.0
        pitch, yaw = self._carried.get(camera.name, (0.0, 0.0))
        pitch += down * speed + self._path[1] * per_pixel
        yaw += right * speed + self._path[0] * per_pixel
        turn = _nearest(camera.pitch_bins, pitch), _nearest(camera.yaw_bins, yaw)
        was_steered, self._is_steered = self._is_steered, bool(right or down)
        if was_steered and not self._is_steered:  # a key that is let go stops at once
            turn = (0.0, 0.0) if self._path == (0, 0) else turn
            pitch, yaw = turn
        self._carried[camera.name] = pitch - turn[0], yaw - turn[1]
        return turn

    def _stick(self, amounts: dict[str, float], has_mouse: bool) -> tuple[float, float]:
        """Angle in degrees, 0 up and clockwise, and magnitude up to 1."""
        right, down = _direction(amounts)
        if has_mouse and self._path != (0, 0):
            per_pixel = self.spec.step_hz / STICK_PIXELS_PER_SECOND
            right, down = right + self._path[0] * per_pixel, down + self._path[1] * per_pixel
        return math.degrees(math.atan2(right, -down)) % 360, min(1.0, math.hypot(right, down))

    def _note(self, raw: RawInput) -> None:
        self.touch()
        if self._before is None and len(self._inputs) < INPUTS_MAX:
            self._inputs.append(raw)


def _short(code: str) -> str:
    """An input's name beside its device."""
    return code.removeprefix("mouse ").removeprefix("pad ")


def _direction(amounts: dict[str, float]) -> tuple[float, float]:
    """Right and down of four directions' amounts, at most 1 long."""
    up, down, left, right = (amounts.get(name, 0.0) for name in DIRECTIONS)
    x, y = right - left, down - up
    length = math.hypot(x, y)
    return (x / length, y / length) if length > 1 else (x, y)


def _nearest(bins: tuple[float, ...], degrees: float) -> float:
    """The largest bin that does not go beyond `degrees`."""
    return max((b for b in bins if abs(b) <= abs(degrees) and b * degrees >= 0), key=abs)

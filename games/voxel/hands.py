"""Hands of a person: keys, buttons and mouse as one legal action per step, and the raw inputs behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from games.controls import Camera
from games.spec import Action
from games.voxel.spec import SPEC

DEGREES_PER_PIXEL = 0.15
IDLE_SECONDS = 10.0
"""Seconds of play without any input after which nobody is playing."""
INPUTS_MAX = 64
"""Raw inputs of one step; what is beyond comes from no hand."""

Device = Literal["keyboard", "mouse"]


@dataclass(frozen=True)
class RawInput:
    """A key or button that went down (1) or up (0), a turn of the wheel, or a movement in pixels, right and down."""

    device: Device
    code: str
    value: int | tuple[int, int]


@dataclass
class Hands:
    """Keys, buttons and mouse as one legal action per step.

    Mouse movement is rounded down to the camera's bins; the rest is carried into the next step, so that the
    recorded action is exactly the one executed and no movement is lost. A key that goes down and up between two steps
    acts for one step.
    """

    down: dict[tuple[Device, int], tuple[str, str]] = field(default_factory=dict)
    """Keys and buttons that are down, by their number: each its name and its control's ("" for one without)."""
    pitch_deg: float = 0.0
    yaw_deg: float = 0.0
    _tapped: set[str] = field(default_factory=set)
    _inputs: list[RawInput] = field(default_factory=list)
    _before: dict[tuple[Device, int], str] | None = None
    """What was down when the inputs were muted."""
    _path: tuple[int, int] = (0, 0)
    _has_moved: bool = False
    _idle_steps: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing has been touched for `IDLE_SECONDS` of play."""
        return self._idle_steps > IDLE_SECONDS * SPEC.step_hz

    def press(self, device: Device, number: int, code: str, control: str = "") -> None:
        """A key or button goes down; `number` is its place, which stays when the keyboard's layout is changed."""
        if (device, number) in self.down:
            return
        self.down[device, number] = code, control
        self._tapped.add(control)
        self._note(RawInput(device, code, 1))

    def lift(self, device: Device, number: int) -> None:
        """A key or button goes up; one that was not pressed here is ignored."""
        if (pressed := self.down.pop((device, number), None)) is not None:
            self._note(RawInput(device, pressed[0], 0))

    def look(self, dx: int, dy: int) -> None:
        """Add a mouse movement in pixels, right and down."""
        self.yaw_deg += dx * DEGREES_PER_PIXEL
        self.pitch_deg += dy * DEGREES_PER_PIXEL
        self._path = (self._path[0] + dx, self._path[1] + dy)
        self.touch()

    def wheel(self, turns: int) -> None:
        """The mouse wheel, which has no control."""
        self._note(RawInput("mouse", "wheel", turns))

    def touch(self) -> None:
        """Somebody is there."""
        self._has_moved = True

    def action(self) -> Action:
        """The action of this step."""
        self._idle_steps = 0 if self._has_moved or self.down else self._idle_steps + 1
        self._has_moved = False
        active = ({control for _, control in self.down.values()} | self._tapped) - {""}
        self._tapped.clear()
        held = {name for name in active if not _opposed(name, active)}
        camera = SPEC.by_name["camera"]
        assert isinstance(camera, Camera)
        pitch = _nearest(camera.pitch_bins, self.pitch_deg)
        yaw = _nearest(camera.yaw_bins, self.yaw_deg)
        self.pitch_deg -= pitch
        self.yaw_deg -= yaw
        return SPEC.normalize({**dict.fromkeys(held, 1), "camera": (pitch, yaw)})

    def take_inputs(self) -> list[RawInput]:
        """The raw inputs since the last call; the mouse's movement is one of them, summed."""
        inputs, self._inputs = self._inputs, []
        if self._path != (0, 0):
            inputs.append(RawInput("mouse", "move", self._path))
            self._path = (0, 0)
        return inputs

    def release(self) -> None:
        """Let go of all keys and forget the mouse movement."""
        for device, number in list(self.down):
            self.lift(device, number)
        self.forget()

    def forget(self) -> None:
        """Forget the mouse movement and short presses; what is down stays down."""
        self.pitch_deg = self.yaw_deg = 0.0
        self._path = (0, 0)
        self._tapped.clear()

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
            self._note(RawInput(place[0], before[place], 0))
        for place in now.keys() - before:
            self._note(RawInput(place[0], now[place], 1))

    def restate(self) -> None:
        """Begin anew: of the inputs so far only what is still down counts, as if it went down now."""
        self._inputs = []
        self._before = {}
        self.unmute()

    def _note(self, raw: RawInput) -> None:
        self.touch()
        if self._before is None and len(self._inputs) < INPUTS_MAX:
            self._inputs.append(raw)


def _nearest(bins: tuple[float, ...], degrees: float) -> float:
    """The largest bin that does not go beyond `degrees`."""
    return max((b for b in bins if abs(b) <= abs(degrees) and b * degrees >= 0), key=abs)


def _opposed(name: str, active: set[str]) -> bool:
    return any(name in group and active.issuperset(group) for group in SPEC.exclusive)

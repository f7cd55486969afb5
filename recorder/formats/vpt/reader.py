"""VPT recordings: NAME.jsonl, one JSON object a tick, beside NAME.mp4.

The form of OpenAI's contractor recordings of Minecraft (VPT, Baker et al. 2022, arXiv 2206.11795), which the MineRL
BASALT recordings share. Two known faults of theirs are corrected, see `actions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from games import Action, Frame
from games.minecraft import DEGREES_PER_PIXEL
from games.validation_error import first_error
from recorder.format.manifest import CaptureError
from recorder.format.video import reading

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
MAX_LINE_BYTES = 1 << 20
"""Longest line in bytes that is read."""
MAX_SIDE = 4096
"""Largest height and width of a video that is decoded."""
_SESSION = re.compile(r"-\d{8}-\d{6}$")

Pixels = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class UnreadableError(CaptureError):
    """One recording is broken; others beside it may be intact."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Mouse(_Model):
    """The pointer's position in the game's window, its movement since the last tick, and the buttons held down."""

    x: Pixels
    y: Pixels
    dx: Pixels
    dy: Pixels
    buttons: tuple[int, ...]
    new_buttons: tuple[int, ...] = Field(default=(), alias="newButtons")


class Keyboard(_Model):
    """The keys held down."""

    keys: tuple[str, ...]


class Tick(_Model):
    """The used fields of one line of a recording: a twentieth of a second."""

    mouse: Mouse
    keyboard: Keyboard
    hotbar: int = Field(ge=0, le=8)
    """The selected slot, counted from 0."""
    menu: bool = Field(default=False, alias="isGuiOpen")


@dataclass(frozen=True)
class Recording:
    """The two files of one recording, of which one may be missing."""

    video: Path
    lines: Path

    @property
    def name(self) -> str:
        return self.lines.stem

    @property
    def session(self) -> str:
        """The name without its date and time, which parts of one session have in common."""
        return _SESSION.sub("", self.name)


def recordings(folder: Path) -> list[Recording]:
    """The recordings of a folder, by name: all that have a NAME.jsonl or a NAME.mp4."""
    stems = {p.stem for kind in ("*.jsonl", "*.mp4") for p in folder.glob(kind) if p.is_file()}
    return [Recording(folder / f"{name}.mp4", folder / f"{name}.jsonl") for name in sorted(stems)]


def ticks(path: Path) -> Iterator[Tick]:
    """The ticks of a NAME.jsonl one after the other; a torn last line is skipped.

    Raises `UnreadableError` with file and line where one is no tick.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
                line_name = f"{path}, line {number}"
                if len(line) > MAX_LINE_BYTES:
                    raise UnreadableError(f"{line_name} is longer than {MAX_LINE_BYTES} bytes")
                if line.strip() and (tick := _tick(line, line_name)):
                    yield tick
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}") from None


def _tick(line: bytes, line_name: str) -> Tick | None:
    """A line as a tick; None where it is torn, as only the last one, without a newline, can be."""
    try:
        return Tick.model_validate_json(line)
    except ValidationError as error:
        first = first_error(error)
        if first.kind == "json_invalid" and not line.endswith(b"\n"):
            return None
        raise UnreadableError(f"{line_name}: {first}") from None


def actions(recorded: Iterable[Tick]) -> Iterator[tuple[Tick, Action]]:
    """Every tick with its action, the camera not yet moved to whole degrees.

    Corrected as VPT's own loader does: an attack that the first tick reports as newly pressed may be stuck, and counts
    only once it is let go or pressed again; a slot chosen with the wheel shows only as another `hotbar`, and becomes a
    press of that slot's key. The slot selected at the beginning is no press.
    """
    before: Tick | None = None
    stuck = False
    for tick in recorded:
        held, new = 0 in tick.mouse.buttons, 0 in tick.mouse.new_buttons
        stuck = held and new if before is None else stuck and held and not new
        action = _pressed(tick)
        if stuck:
            del action["attack"]
        if before is not None and tick.hotbar != before.hotbar:
            action[f"hotbar.{tick.hotbar + 1}"] = 1
        before = tick
        yield tick, action


def _pressed(tick: Tick) -> Action:
    """The action of a line, uncorrected; keys and buttons without a control are ignored."""
    names = [KEYS[key] for key in tick.keyboard.keys if key in KEYS]
    names += [BUTTONS[b] for b in tick.mouse.buttons if 0 <= b < len(BUTTONS)]
    turned = (tick.mouse.dy * DEGREES_PER_PIXEL, tick.mouse.dx * DEGREES_PER_PIXEL)
    return {**dict.fromkeys(names, 1), "camera": turned}


def frames(path: Path) -> Iterator[Frame]:
    """The frames of a NAME.mp4 in order, (H, W, 3) uint8 RGB each, up to where the file is cut off.

    Raises `UnreadableError` where it is no video, or one of a size that is not read.
    """
    try:
        with reading(path) as container:
            if not container.streams.video:
                raise UnreadableError(f"{path} has no video")
            codec = container.streams.video[0].codec_context
            if max(codec.height, codec.width) > MAX_SIDE:
                raise UnreadableError(f"{path}: frames of {codec.height} x {codec.width}")
            yield from _decoded(container)
    except UnreadableError:
        raise
    except CaptureError as error:
        raise UnreadableError(str(error)) from None


def _decoded(container: av.container.InputContainer) -> Iterator[Frame]:
    """Decode up to the first damage: what follows might belong to another tick."""
    try:
        for packet in container.demux(container.streams.video[0]):
            if packet.is_corrupt:
                return
            for decoded in packet.decode():
                yield np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8)
    except av.FFmpegError:
        return

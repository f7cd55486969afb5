"""Gamepads: a virtual one of SDL's own, from its buttons and sticks to actions and raw inputs."""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygame
import pytest

from games.human.bindings import bind, read_controls
from games.human.display import open_window
from games.human.gamepad import Gamepads
from games.human.hands import Hands, RawInput
from games.voxel import SPEC

GAME_CONTROLLER = 1
"""SDL_JOYSTICK_TYPE_GAMECONTROLLER."""


class VirtualPad:
    """A gamepad that exists in SDL alone."""

    def __init__(self, sdl: Any) -> None:
        self._sdl = sdl
        sdl.SDL_JoystickOpen.restype = ctypes.c_void_p
        self.index = sdl.SDL_JoystickAttachVirtual(GAME_CONTROLLER, 6, 15, 0)
        self._stick = ctypes.c_void_p(sdl.SDL_JoystickOpen(self.index))

    def axis(self, number: int, value: float) -> None:
        value = max(-32768, min(32767, round(value * 32767)))
        assert not self._sdl.SDL_JoystickSetVirtualAxis(self._stick, number, ctypes.c_int16(value))

    def button(self, number: int, down: int) -> None:
        assert not self._sdl.SDL_JoystickSetVirtualButton(self._stick, number, ctypes.c_uint8(down))

    def detach(self) -> None:
        self._sdl.SDL_JoystickDetachVirtual(self.index)


@pytest.fixture(scope="module")
def sdl() -> Any:
    libraries = Path(pygame.__file__).parent.parent / "pygame.libs"
    files = sorted(libraries.glob("libSDL2-2*"))
    if not files:
        pytest.skip("pygame has no SDL of its own here")
    library = ctypes.CDLL(str(files[0]))
    if not hasattr(library, "SDL_JoystickAttachVirtual"):
        pytest.skip("this SDL has no virtual gamepads")
    return library


class Played:
    """A window's gamepads and hands, with a virtual pad attached."""

    def __init__(self, sdl: Any) -> None:
        open_window(lambda: (64, 64), "pad", headless=True)
        self.keys: list[str] = []
        self.hands = Hands(SPEC, bind(SPEC, read_controls()))
        self.pads = Gamepads(self.hands, self.keys.append)
        self.pad = VirtualPad(sdl)
        self.take()

    def take(self, *, is_playing: bool = True) -> None:
        """Take in what SDL has to say; it reads its devices once a look."""
        for _ in range(3):
            for event in pygame.event.get():
                self.pads.handle(event, is_playing=is_playing)


@pytest.fixture(scope="module")
def opened(sdl: Any) -> Iterator[Played]:
    played = Played(sdl)
    sdl.SDL_SetHint(b"SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", b"1")  # this window has no focus
    yield played
    played.pads.close()
    pygame.quit()


@pytest.fixture
def played(opened: Played) -> Played:
    for number in range(15):
        opened.pad.button(number, 0)
    for axis in range(6):
        opened.pad.axis(axis, -1.0 if axis > 3 else 0.0)
    opened.take()
    opened.hands.release()
    opened.hands.take_inputs()
    opened.keys.clear()
    return opened


def test_a_gamepad_plays(played: Played) -> None:
    assert len(played.pads.names) == 1
    played.pad.axis(1, -1.0)  # the left stick up
    played.pad.axis(5, 1.0)  # the right trigger
    played.pad.button(0, 1)  # A
    played.take()
    inputs = played.hands.take_inputs()
    assert played.hands.action() == SPEC.normalize({"forward": 1, "attack": 1, "jump": 1})
    assert RawInput("gamepad", "a", 1) in inputs
    assert RawInput("gamepad", "left stick", (0.0, -1.0)) in inputs
    assert RawInput("gamepad", "righttrigger", 1.0) in inputs
    played.pad.axis(1, 0.0)
    played.pad.axis(5, -1.0)
    played.pad.button(0, 0)
    played.take()
    assert played.hands.action() == SPEC.null_action()


def test_a_stick_that_rests_beside_its_middle_does_nothing(played: Played) -> None:
    played.pad.axis(2, 0.12)
    played.pad.axis(0, -0.1)
    played.take()
    assert [played.hands.action() for _ in range(20)] == [SPEC.null_action()] * 20


def test_start_and_back_are_the_windows_own(played: Played) -> None:
    for number in (4, 6):  # back, start
        played.pad.button(number, 1)
        played.take()
    assert played.keys == ["tab", "return"]
    assert played.hands.action() == SPEC.null_action()


def test_while_the_game_waits_nothing_is_pressed(played: Played) -> None:
    played.hands.mute()
    played.pad.button(0, 1)
    played.take(is_playing=False)
    played.hands.unmute()
    assert played.hands.action() == SPEC.null_action()


def test_what_is_let_go_while_the_game_waits_stays_let_go(played: Played) -> None:
    played.pad.axis(1, -1.0)
    played.pad.axis(5, 1.0)
    played.take()
    assert played.hands.action() == SPEC.normalize({"forward": 1, "attack": 1})
    played.hands.mute()
    played.pad.axis(1, 0.0)
    played.pad.axis(5, -1.0)
    played.pad.axis(0, 1.0)  # a tap to the right
    played.take(is_playing=False)
    played.pad.axis(0, 0.0)
    played.take(is_playing=False)
    played.hands.unmute()
    assert played.hands.action() == SPEC.null_action()


def test_a_gamepad_that_is_pulled_out_lets_go(played: Played) -> None:
    played.pad.button(0, 1)
    played.take()
    assert played.hands.action()["jump"] == 1
    played.pad.detach()
    played.take()
    assert played.pads.names == []
    assert played.hands.action() == SPEC.null_action()

"""Hands of a person: no mouse movement is lost, actions are legal, sticks are emulated."""

import numpy as np
import pytest

from games import Axis, Button, Camera, Choice, FrameSize, GameSpec, Stick, Text
from games.frozen_lake import SPEC as LAKE
from games.human.bindings import bind, read_controls
from games.human.hands import Hands, RawInput
from games.voxel import SPEC

TURNS = (-18.0, -9.0, -4.0, -1.5, 0.0, 1.5, 4.0, 9.0, 18.0)
SHOOTER = GameSpec(
    id="shooter-v0", title="Two sticks", frame=FrameSize(height=8, width=8), step_hz=20,
    controls=(
        Stick(name="walk", meaning="move.stick"), Stick(name="aim", meaning="look.stick"),
        Axis(name="gas", meaning="throttle", low=0, high=1, bins=5), Axis(name="wheel", meaning="steer", bins=5),
        Button(name="fire", meaning="attack.primary"),
    ),
)  # fmt: skip


def hands_of(spec: GameSpec = SPEC) -> Hands:
    return Hands(spec, bind(spec, read_controls()))


@pytest.fixture
def hands() -> Hands:
    return hands_of()


def tilt(hands: Hands, stick: str, **amounts: float) -> None:
    full = {name: amounts.get(name, 0.0) for name in ("up", "down", "left", "right")}
    hands.tilt(stick, (0.0, 0.0), {f"pad {stick} {name}": a for name, a in full.items()})


def test_mouse_movement_is_carried_over(hands: Hands) -> None:
    hands.look(150, -44)
    turned = np.sum([hands.action()["camera"] for _ in range(8)], axis=0)
    assert turned[1] == pytest.approx(150 * 0.15, abs=1.5)
    assert turned[0] == pytest.approx(-44 * 0.15, abs=1.5)
    assert SPEC.normalize(hands.action()) == SPEC.null_action()


def test_opposite_keys_cancel(hands: Hands) -> None:
    for number, code in enumerate(("w", "s", "space")):
        hands.press("keyboard", number, code)
    assert hands.action() == SPEC.normalize({"jump": 1})


def test_of_many_that_exclude_each_other_the_last_counts() -> None:
    hands = hands_of(LAKE)
    hands.press("keyboard", 1, "up")
    hands.press("keyboard", 2, "right")
    assert hands.action() == LAKE.normalize({"right": 1})
    hands.lift("keyboard", 2)
    assert hands.action() == LAKE.normalize({"up": 1})
    hands.press("keyboard", 3, "a")
    hands.lift("keyboard", 3)
    assert hands.action() == LAKE.normalize({"left": 1})


def test_two_keys_of_one_control_are_two_keys(hands: Hands) -> None:
    hands.press("keyboard", 1, "left shift")
    hands.press("keyboard", 2, "right shift")
    hands.action()
    hands.lift("keyboard", 1)
    assert hands.action() == SPEC.normalize({"sprint": 1})
    hands.lift("keyboard", 2)
    assert hands.action() == SPEC.null_action()


def test_of_muted_inputs_only_the_change_is_noted(hands: Hands) -> None:
    hands.press("keyboard", 1, "w")
    hands.take_inputs()
    hands.mute()
    hands.press("keyboard", 2, "d")
    hands.lift("keyboard", 2)
    hands.lift("keyboard", 1)
    hands.look(5, 5)
    hands.press("mouse", 1, "mouse left")
    hands.unmute()
    assert hands.take_inputs() == [RawInput("keyboard", "w", 0), RawInput("mouse", "left", 1)]
    assert hands.action() == SPEC.normalize({"attack": 1})


def test_keys_turn_the_camera_and_stop_at_once(hands: Hands) -> None:
    hands.press("keyboard", 1, "right")
    turned = [hands.action()["camera"][1] for _ in range(20)]
    assert sum(turned) == pytest.approx(120, abs=9)
    hands.lift("keyboard", 1)
    assert hands.action() == SPEC.null_action()
    assert hands.action() == SPEC.null_action()


def test_a_gamepads_stick_turns_the_camera_by_how_far_it_is_moved(hands: Hands) -> None:
    tilt(hands, "right stick", right=0.5, up=0.25)
    turned = np.sum([hands.action()["camera"] for _ in range(40)], axis=0)
    assert turned == pytest.approx((-60, 120), abs=9)


def test_a_gamepad_walks_and_its_trigger_hits(hands: Hands) -> None:
    tilt(hands, "left stick", up=0.8, left=0.3)
    hands.tilt("righttrigger", 0.7, {"pad righttrigger": 0.7})
    assert hands.action() == SPEC.normalize({"forward": 1, "attack": 1})
    tilt(hands, "left stick", up=0.4)
    hands.tilt("righttrigger", 0.0, {"pad righttrigger": 0.0})
    assert hands.action() == SPEC.null_action()


def test_keys_are_sticks() -> None:
    hands = hands_of(SHOOTER)
    angles = []
    for number, code in enumerate("wds"):
        hands.press("keyboard", number, code)
        angles.append(hands.action()["walk"])
    hands.lift("keyboard", 0)
    angles.append(hands.action()["walk"])
    assert angles == [(0, 1.0), (45, 1.0), (90, 1.0), (135, 1.0)]
    for number in (1, 2):
        hands.lift("keyboard", number)
    assert hands.action()["walk"] == (0, 0)


def test_two_sticks_and_the_ends_of_axes() -> None:
    hands = hands_of(SHOOTER)
    tilt(hands, "left stick", down=0.5)
    tilt(hands, "right stick", left=1.0)
    hands.tilt("righttrigger", 0.5, {"pad righttrigger": 0.5})
    action = hands.action()
    assert (action["walk"], action["aim"]) == ((180, 0.5), (270, 1.0))
    assert hands.bindings.targets["pad righttrigger"].control in ("gas", "fire")


def test_a_moving_mouse_is_a_stick() -> None:
    hands = hands_of(SHOOTER)
    hands.look(30, 0)
    assert hands.action()["aim"] == (90, 1.0)
    hands.look(0, 15)
    assert hands.action()["aim"] == (180, 0.5)
    assert hands.action()["aim"] == (0, 0)


def test_axes_and_options_are_held_by_keys() -> None:
    controls = (
        Axis(name="depth", bins=5), Choice(name="hat", options=("no", "red")), Text(name="chat"),
        Camera(name="view", meaning="look", pitch_bins=TURNS, yaw_bins=TURNS),
    )  # fmt: skip
    spec = SHOOTER.model_copy(update={"controls": controls})
    hands = hands_of(spec)
    keys = {target: name for name, target in hands.bindings.targets.items()}
    by_part = {target.part: name for target, name in keys.items() if target.control != "view"}
    hands.press("keyboard", 1, by_part["low"])
    hands.press("keyboard", 2, by_part["red"])
    hands.words = "hi"
    assert hands.action() == spec.normalize({"depth": -1.0, "hat": 1, "chat": "hi"})
    hands.lift("keyboard", 1)
    hands.press("keyboard", 3, by_part["high"])
    assert hands.action() == spec.normalize({"depth": 1.0, "hat": 1})

"""Hands of a person: no mouse movement is lost, and actions are legal."""

import numpy as np
import pytest

from games.voxel import SPEC
from games.human.hands import DEGREES_PER_PIXEL, Hands, RawInput


def test_mouse_movement_is_carried_over() -> None:
    hands = Hands()
    hands.look(150, -44)
    turned = np.sum([hands.action()["camera"] for _ in range(8)], axis=0)
    assert turned[1] == pytest.approx(150 * DEGREES_PER_PIXEL, abs=1.5)
    assert turned[0] == pytest.approx(-44 * DEGREES_PER_PIXEL, abs=1.5)
    assert SPEC.normalize(hands.action()) == SPEC.null_action()


def test_opposite_keys_cancel() -> None:
    hands = Hands()
    for number, control in enumerate(("forward", "back", "jump")):
        hands.press("keyboard", number, control, control)
    assert hands.action() == SPEC.normalize({"jump": 1})


def test_two_keys_of_one_control_are_two_keys() -> None:
    hands = Hands()
    hands.press("keyboard", 1, "left shift", "sprint")
    hands.press("keyboard", 2, "right shift", "sprint")
    hands.action()
    hands.lift("keyboard", 1)
    assert hands.action() == SPEC.normalize({"sprint": 1})
    hands.lift("keyboard", 2)
    assert hands.action() == SPEC.null_action()


def test_of_muted_inputs_only_the_change_is_noted() -> None:
    hands = Hands()
    hands.press("keyboard", 1, "w", "forward")
    hands.take_inputs()
    hands.mute()
    hands.press("keyboard", 2, "d", "right")
    hands.lift("keyboard", 2)
    hands.lift("keyboard", 1)
    hands.look(5, 5)
    hands.press("mouse", 1, "left", "attack")
    hands.unmute()
    assert hands.take_inputs() == [RawInput("keyboard", "w", 0), RawInput("mouse", "left", 1)]
    assert hands.action() == SPEC.normalize({"attack": 1})

"""Commands: keys that stay, and turns that are made as they are asked for."""

import pytest

from bridges.malmo.commands import Inputs, Keys
from bridges.malmo.wire import Command, WireError
from games.voxel.spec import SPEC


def apply(keys: Keys, *lines: str) -> Inputs:
    pairs = (line.partition(" ") for line in lines)
    return keys.apply([Command(verb, argument) for verb, _, argument in pairs])


def test_a_step_is_a_whole_legal_action() -> None:
    action = apply(Keys(), "forward 1", "camera -4.0 9.0", "attack 1").action
    assert SPEC.normalize(action) == action
    assert (action["forward"], action["attack"], action["jump"]) == (1, 1, 0)
    assert action["camera"] == (-4.0, 9.0)


def test_a_key_stays_until_it_is_named_again() -> None:
    keys = Keys()
    apply(keys, "attack 1")
    assert apply(keys).action["attack"] == 1
    assert apply(keys, "attack 0").action["attack"] == 0


def test_keys_against_each_other_do_nothing() -> None:
    keys = Keys()
    action = apply(keys, "forward 1", "back 1", "left 1").action
    assert (action["forward"], action["back"], action["left"]) == (0, 0, 1)
    assert apply(keys, "back 0").action["forward"] == 1


def test_a_turn_is_made_at_once_and_exactly() -> None:
    keys = Keys()
    assert apply(keys, "camera -5.625 90.0").action["camera"] == (-5.625, 90.0)
    assert apply(keys).action["camera"] == (0.0, 0.0)
    assert apply(keys, "camera 1e-3 -180.0").action["camera"] == (0.001, -180.0)


def test_what_the_inventory_is_asked_for() -> None:
    inputs = apply(Keys(), "equip planks#4", "place dirt", "hotbar.3 1", "hotbar.4 0")
    assert (inputs.equip, inputs.place, inputs.slot) == (("planks", 4), "dirt", 2)
    inputs = apply(Keys(), "equip none", "place none", "craft none", "drop 0", "ESC 0")
    assert (inputs.equip, inputs.place, inputs.slot, inputs.unknown) == (None, None, None, [])


def test_what_the_world_does_not_know_is_named() -> None:
    assert apply(Keys(), "craft planks", "drop 1", "swapHands 0").unknown == ["craft", "drop"]


@pytest.mark.parametrize(
    "line",
    [
        "forward",
        "forward 2",
        "forward yes",
        "hotbar.1 7",
        "camera 1.0",
        "camera 1 2 3",
        "camera nan 0",
        "camera 0 inf",
        "camera 0 1e9",
        "camera up down",
        "equip #",
        "equip a b",
        "place ../x",
    ],
)
def test_an_argument_that_cannot_be_read_ends_the_connection(line: str) -> None:
    with pytest.raises(WireError):
        apply(Keys(), line)

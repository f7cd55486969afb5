"""MineRL's action dicts and the Minecraft spec, in both directions, without minerl."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.minerl.actions import ActionMap, map_actions
from games import Action, ActionError, Button, Camera, Choice
from games.minecraft import DEGREES_PER_PIXEL, SPEC


class Discrete:
    """A button's space."""

    n = 2


class Box:
    """The camera's space."""

    shape = (2,)


class Enum:
    """A space of words, sorted as MineRL sorts them."""

    n = 5

    def __init__(self, *values: str) -> None:
        self.values = np.array(sorted(values))

    def no_op(self) -> str:
        return "none"


class Text:
    """A space of text."""

    shape = (1,)


HUMAN = map_actions({c.name: Box() if c.name == "camera" else Discrete() for c in SPEC.controls})
"""As in 1.0: all keys and buttons."""
SIMPLE = ("attack", "back", "forward", "jump", "left", "right", "sneak", "sprint")
TREECHOP = map_actions({**dict.fromkeys(SIMPLE, Discrete()), "camera": Box()})
OBTAIN = map_actions(
    {
        **dict.fromkeys(SIMPLE, Discrete()),
        "camera": Box(),
        "craft": Enum("none", "torch", "crafting_table"),
        "nearbyCraft": Enum("none", "wooden_axe", "air"),
        "equip": Enum("log#0", "log#1", "none"),
        "chat": Text(),
    }
)


def actions_of(mapped: ActionMap) -> st.SearchStrategy[Action]:
    values = {
        control.name: st.sampled_from(range(len(control.options)))
        if isinstance(control, Choice)
        else st.tuples(st.sampled_from(control.pitch_bins), st.sampled_from(control.yaw_bins))
        if isinstance(control, Camera)
        else st.sampled_from((0, 1))
        for control in mapped.controls
    }
    return st.fixed_dictionaries(values)


def test_a_task_with_all_keys_has_the_minecraft_spec() -> None:
    assert HUMAN.controls == SPEC.controls
    assert HUMAN.absent == HUMAN.left_out == ()


@pytest.mark.parametrize("control", SPEC.controls, ids=lambda c: c.name)
def test_every_control_of_the_spec_round_trips(control: Button | Camera) -> None:
    values = [1] if isinstance(control, Button) else [(pitch, -5.0) for pitch in control.pitch_bins]
    for value in values:
        action = SPEC.normalize({control.name: value})
        commands = HUMAN.to_minerl(action)
        assert set(commands) == set(SPEC.by_name)
        assert HUMAN.from_minerl(commands) == action


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_action_round_trips(data: st.DataObject) -> None:
    mapped = data.draw(st.sampled_from((HUMAN, TREECHOP, OBTAIN)))
    action = data.draw(actions_of(mapped))
    assert mapped.from_minerl(mapped.to_minerl(action)) == action


def test_a_turn_is_not_truncated() -> None:
    degrees = 37.5 * DEGREES_PER_PIXEL
    assert degrees == 5.625
    turn = np.array([-degrees, degrees], np.float32)
    assert HUMAN.from_minerl({"camera": turn})["camera"] == (-6.0, 6.0)
    commands = HUMAN.to_minerl({"camera": (-5.625, 1.0)})
    assert commands["camera"].dtype == np.float32
    assert commands["camera"].tolist() == [-6.0, 1.0]


def test_what_a_task_lacks_is_named() -> None:
    assert [control.name for control in TREECHOP.controls][-1] == "camera"
    assert {"use", "drop", "inventory", "hotbar.9"} <= set(TREECHOP.absent)
    assert OBTAIN.left_out == ("chat",)
    assert TREECHOP.to_minerl({"forward": 1}).keys() == {*SIMPLE, "camera"}


def test_enums_are_choices_with_doing_nothing_first() -> None:
    craft = next(c for c in OBTAIN.controls if c.name == "craft")
    equip = next(c for c in OBTAIN.controls if c.name == "equip")
    nearby = next(c for c in OBTAIN.controls if c.name == "nearbyCraft")
    assert isinstance(craft, Choice)
    assert isinstance(equip, Choice)
    assert craft.options == ("none", "crafting_table", "torch")
    assert equip.options == ("none", "log.0", "log.1")
    assert nearby.meaning == "minerl/nearby_craft"
    commands = OBTAIN.to_minerl({"equip": 2})
    assert (commands["equip"], commands["craft"]) == ("log#1", "none")
    assert OBTAIN.from_minerl({"equip": "log#1"})["equip"] == 2
    assert OBTAIN.from_minerl({"craft": np.int64(0)})["craft"] == 1  # the first in sorted order
    assert OBTAIN.from_minerl({"chat": "/kill"}) == OBTAIN.from_minerl({})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"atack": 1}, "no 'atack'; did you mean 'attack'"),
        ({"use": 1}, "no 'use'"),
        ({"attack": 2}, "a button is 0 or 1"),
        ({"camera": [1.0]}, "two numbers"),
        ({"camera": [np.nan, 0.0]}, "finite"),
        ({"craft": "anvil"}, "no value 'anvil'"),
        ({"craft": 3}, "no value '3'"),
    ],
)
def test_a_wrong_dict_is_refused(wrong: Action, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        OBTAIN.from_minerl(wrong)

"""Game spec: every legal action comes back from its tokens and words, in every shipped game."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.serving.random_policy import random_action
from games import END, START, Action, ActionError, GameSpec
from games.registry import UnknownGameError, load, names

SPECS = [load(name).spec for name in ("voxel", "minecraft", "bleeding-edge")]
ROBOTS = [load(name).spec for name in ("language-table", "calvin")]


@pytest.mark.parametrize("spec", SPECS + ROBOTS, ids=lambda s: s.id)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_tokens_and_words_round_trip(spec: GameSpec, seed: int) -> None:
    action = random_action(spec, np.random.default_rng(seed))
    assert spec.decode(spec.encode(action)) == action
    assert spec.from_words(spec.to_words(action)) == action


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.id)
def test_every_single_token_is_read_back(spec: GameSpec) -> None:
    for control in spec.controls:
        for i, token in enumerate(control.tokens):
            assert spec.control_of_token[token] is control
            assert control.tokens.index(token) == i
    assert spec.decode([START, END]) == spec.null_action()
    assert spec.to_words(spec.null_action()) == "do nothing"


def test_the_papers_vocabularies() -> None:
    minecraft, bleeding_edge = SPECS[1:]
    assert len(minecraft.control_of_token) + 2 == 225
    assert len(bleeding_edge.control_of_token) + 2 == 533
    assert minecraft.encode({"attack": 1, "forward": 1, "ESC": 1, "camera": (-49, 50)}) == [
        START, "[ESC]", "[attack]", "[forward]", "[CAMERAX-49]", "[CAMERAY50]", END,
    ]  # fmt: skip
    assert minecraft.encode({"hotbar.3": 1, "swapHands": 1})[1:-1] == ["[hotbar.3]", "[swapHands]"]
    tokens = bleeding_edge.encode({"SpecialAbility1": 1, "left_stick": (1.40625, 0.5)})
    assert tokens[1:-1] == ["[SpecialAbility1]", "[lrot2]", "[lmag2]"]
    assert "[rrot256]" in bleeding_edge.control_of_token


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"forwrad": 1}, "did you mean 'forward'"),
        ({"forward": 1, "back": 1}, "exclude each other"),
        ({"forward": 2}, "0 or 1"),
        ({"camera": (1,)}, "two numbers"),
        ({"camera": (float("nan"), 0)}, "finite"),
    ],
)
def test_what_is_wrong_is_said(action: Action, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        SPECS[0].normalize(action)


@pytest.mark.parametrize(
    "tokens",
    [
        ["[forward]"],
        [START, "[jump]", "[forward]", END],
        [START, "[jump]", "[jump]", END],
        [START, "[CAMERAX4]", END],
        [START, "[CAMERAX0]", "[CAMERAY0]", END],
    ],
)
def test_no_other_order_is_an_action(tokens: list[str]) -> None:
    with pytest.raises(ActionError):
        SPECS[0].decode(tokens)


def test_a_robots_action_is_written_whole_at_every_step() -> None:
    table, calvin = ROBOTS
    assert table.encode({}) == [START, "[ROBOTACTIONX10]", "[ROBOTACTIONY10]", END]
    assert table.encode({"x": -0.1, "y": 0.1, "TERMINAL": 1})[1:-1] == [
        "[TERMINAL]", "[ROBOTACTIONX0]", "[ROBOTACTIONY20]",
    ]  # fmt: skip
    assert calvin.encode({"yaw": 1, "gripper": 1})[1:-1] == [
        *(f"[ROBOTACTION{axis}_10]" for axis in range(5)), "[ROBOTACTION5_20]", "[GRIPPER_CLOSE]",
    ]  # fmt: skip
    for spec in ROBOTS:
        with pytest.raises(ActionError):
            spec.decode([START, END])


def test_specs_travel_as_json() -> None:
    for spec in SPECS + ROBOTS:
        assert GameSpec.model_validate_json(spec.model_dump_json()) == spec


def test_registry_finds_and_suggests() -> None:
    assert names()[:4] == ("voxel", "brawl", "minecraft", "bleeding-edge")
    assert load("voxel-v0").spec is load("voxel").spec
    assert load("games.voxel:GAME").make is not None
    with pytest.raises(UnknownGameError, match="did you mean 'voxel'"):
        load("voxle")
    with pytest.raises(UnknownGameError, match="is a GameSpec, not"):
        load("games.voxel:SPEC")
    with pytest.raises(UnknownGameError, match="cannot load"):
        load("no_such_module:GAME")

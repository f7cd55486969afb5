"""Token names: two cameras, two sticks and many more have tokens and words of their own without being told."""

from itertools import product

import pytest

from games import END, START, Axis, Button, Camera, FrameSize, GameSpec, Stick
from games.controls import Control
from games.registry import load

BINS = (-9.0, 0.0, 9.0)


def spec_of(*controls: Control) -> GameSpec:
    size = FrameSize(height=64, width=64)
    return GameSpec(id="odd-v0", title="Odd", frame=size, step_hz=20, controls=controls)


def camera(name: str, **fields: str) -> Camera:
    return Camera(name=name, pitch_bins=BINS, yaw_bins=BINS, **fields)


def test_a_second_camera_and_stick_have_their_names_in_their_tokens() -> None:
    spec = spec_of(camera("head"), camera("turret"), Stick(name="left"), Stick(name="right"))
    action = {"head": (0, 9), "turret": (-9, 0), "left": (90, 1), "right": (180, 0.5)}
    assert spec.encode(action) == [
        START, "[CAMERAX0]", "[CAMERAY9]", "[turret:pitch-9]", "[turret:yaw0]",
        "[rot65]", "[mag4]", "[right:rot129]", "[right:mag2]", END,
    ]  # fmt: skip
    assert spec.to_words(action).split(", ")[:2] == ["turn right 9°", "turret look up 9°"]


def test_every_turn_of_two_cameras_comes_back_from_tokens_and_words() -> None:
    spec = spec_of(camera("a"), camera("b"), camera("c"))
    turns = list(product((-9.0, 0.0, 9.0), repeat=2))
    for first, second in product(turns, turns):
        action = {"a": first, "b": second, "c": (0.0, 0.0)}
        assert spec.decode(spec.encode(action)) == action
        assert spec.from_words(spec.to_words(action)) == action


def test_a_spec_read_again_is_the_same() -> None:
    spec = spec_of(*(camera(f"c{i}") for i in range(4)), *(Stick(name=f"s{i}") for i in range(4)))
    again = GameSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert spec_of(*spec.controls) == spec


def test_tokens_given_by_hand_stay() -> None:
    by_hand = camera("b", pitch_token="<p{}>", yaw_token="<y{}>")
    spec = spec_of(by_hand, camera("a"))
    assert [c.tokens[0] for c in spec.controls] == ["<p-9>", "[CAMERAX-9]"]
    half = spec_of(camera("a"), camera("b", pitch_token="<p{}>"))
    assert [c.tokens[k] for c in half.controls for k in (0, 3)] == [
        "[CAMERAX-9]", "[CAMERAY-9]", "<p-9>", "[b:yaw-9]",
    ]  # fmt: skip


def test_a_button_called_like_a_sticks_token_is_no_conflict() -> None:
    spec = spec_of(Button(name="rot7"), Stick(name="move"))
    assert "[move:rot7]" in spec.control_of_token
    assert spec.control_of_token["[rot7]"].name == "rot7"


def test_equal_tokens_by_hand_are_refused() -> None:
    with pytest.raises(ValueError, match=r"token declared twice: <0>, <10>, <1>, <2>, <3>, …"):
        spec_of(Axis(name="a", token="<{}>"), Axis(name="b", token="<{}>"))


def test_the_shipped_games_keep_the_papers_tokens() -> None:
    minecraft, edge = load("minecraft").spec, load("bleeding-edge").spec
    assert {"[CAMERAX-49]", "[CAMERAY50]"} <= set(minecraft.control_of_token)
    assert {"[lrot1]", "[lmag4]", "[rrot256]", "[rmag1]"} <= set(edge.control_of_token)

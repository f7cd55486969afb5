"""Tests of the action codec: legal actions, round trips, mapping of other games by meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import Vocabulary, build_vocabulary, spec_meanings
from bridges.serving.random_policy import random_action as random_values
from games import Axis, Button, Camera, Choice, FrameSize, GameSpec, Stick
from games.calvin import SPEC as CALVIN
from games.language_table import SPEC as LANGUAGE_TABLE
from games.minecraft import SPEC as MINECRAFT
from games.voxel.spec import SPEC

VOCABULARY = build_vocabulary([SPEC], ["chop a tree", "hunt the pig"], 320)


def random_action(
    codec: ActionCodec, vocabulary: Vocabulary, rng: np.random.Generator
) -> tuple[int, ...]:
    """A random walk through the grammar: token ids of an action."""
    tokens: tuple[int, ...] = ()
    while (token := int(rng.choice(codec.legal_next(tokens)))) != vocabulary.end:
        tokens = (*tokens, token)
    return tokens


def test_random_walks_are_legal_and_round_trip() -> None:
    codec, rng = ActionCodec(SPEC, VOCABULARY), np.random.default_rng(0)
    for _ in range(200):
        tokens = random_action(codec, VOCABULARY, rng)
        action = codec.decode(tokens)
        ids = codec.encode(action)
        assert tuple(ids[1:-1]) == tokens
        assert len(SPEC.encode(action)) == len(ids)


def test_every_action_token_has_one_id() -> None:
    assert [VOCABULARY.meaning_to_id[m] for m in spec_meanings(SPEC)] == list(
        range(VOCABULARY.text_size + 2, VOCABULARY.size)
    )
    assert "look.yaw:+9" in VOCABULARY.meaning_to_id
    assert "move.forward" in VOCABULARY.meaning_to_id


def test_another_game_maps_by_meaning() -> None:
    other = GameSpec(
        id="other-v1",
        title="Other",
        frame=FrameSize(height=72, width=128),
        step_hz=20,
        controls=(
            Button(name="walk", meaning="move.forward"),
            Button(name="dance"),
            Camera(
                name="mouse",
                meaning="look",
                pitch_bins=(-10.0, 0.0, 10.0),
                yaw_bins=(-10.0, 0.0, 10.0),
            ),
        ),
    )
    codec = ActionCodec(other, VOCABULARY)
    assert [w.partition(":")[0] for w in codec.warnings] == ["dance"]
    ids = codec.encode({"walk": 1, "mouse": (0.0, 10.0)})
    meaning_of = {i: m for m, i in VOCABULARY.meaning_to_id.items()}
    assert [meaning_of[i] for i in ids[1:-1]] == ["move.forward", "look.pitch:+0", "look.yaw:+9"]
    assert codec.decode(tuple(ids[1:-1])) == {"walk": 1, "dance": 0, "mouse": (0.0, 10.0)}
    private = GameSpec(
        id="odd-v0", title="Odd", frame=other.frame, step_hz=20, controls=(Button(name="dance"),)
    )
    assert not ActionCodec(private, VOCABULARY).has_controls


def test_minecraft_learns_from_its_own_ids() -> None:
    vocabulary = build_vocabulary([MINECRAFT], ["mine"], 320)
    codec = ActionCodec(MINECRAFT, vocabulary)
    rng = np.random.default_rng(1)
    for _ in range(30):
        tokens = random_action(codec, vocabulary, rng)
        assert tuple(codec.encode(codec.decode(tokens))[1:-1]) == tokens


@pytest.mark.parametrize(("spec", "axes"), [(LANGUAGE_TABLE, 2), (CALVIN, 7)])
def test_a_robots_action_cannot_be_cut_short(spec: GameSpec, axes: int) -> None:
    vocabulary = build_vocabulary([spec], ["push"], 300)
    codec, rng = ActionCodec(spec, vocabulary), np.random.default_rng(0)
    assert codec.max_tokens == 2 + 1 + axes
    for _ in range(100):
        tokens = random_action(codec, vocabulary, rng)
        action = codec.decode(tokens)
        assert len(tokens) == axes + action["TERMINAL"]
        assert tuple(codec.encode(action)[1:-1]) == tokens
        assert len(spec.encode(action)) == 2 + len(tokens)
    assert vocabulary.end not in codec.legal_next(())


@pytest.mark.parametrize("text", ["chop a tree", "ça [BOS] va? 木", ""])
def test_text_round_trip_has_no_special_ids(text: str) -> None:
    ids = VOCABULARY.encode_text(text)
    assert all(i > 5 for i in ids)
    assert VOCABULARY.decode_text(ids).replace("[ ", "[") == text


def test_a_mistyped_meaning_is_answered_with_the_right_one() -> None:
    odd = SPEC.model_copy(update={"controls": (Button(name="w", meaning="move.foward"),)})
    (warning,) = ActionCodec(
        GameSpec.model_validate(odd.model_dump() | {"exclusive": ()}), VOCABULARY
    ).warnings
    assert warning.endswith("stays untouched; did you mean 'move.forward'?")


def shop(*controls: Button | Camera | Stick | Axis | Choice, **fields: Any) -> GameSpec:
    size = FrameSize(height=72, width=128)
    return GameSpec(id="shop-v0", title="Shop", frame=size, step_hz=20, controls=controls, **fields)


WALK = Button(name="walk", meaning="move.forward")
TALK, OPEN = Button(name="talk", meaning="use"), Button(name="open", meaning="use")
BINS = (-9.0, 0.0, 9.0)


def all_walks(codec: ActionCodec) -> list[tuple[int, ...]]:
    """Every legal action as token ids."""
    complete: list[tuple[int, ...]] = []
    open_ended: list[tuple[int, ...]] = [()]
    while open_ended:
        ids = open_ended.pop()
        for following in codec.legal_next(ids):
            if following == codec.vocabulary.end:
                complete.append(ids)
            else:
                open_ended.append((*ids, following))
    return complete


def test_two_controls_of_one_meaning_are_pressed_by_one_decision() -> None:
    codec = ActionCodec(shop(TALK, WALK, OPEN), VOCABULARY)
    assert codec.warnings == ("talk has the meaning of open: this model works both as one",)
    assert codec.followers == {"walk": (), "open": ("talk",)}
    use = VOCABULARY.meaning_to_id["use"]
    for ids in codec.legal_next(()), codec.legal_next((use,)):
        assert len(set(ids)) == len(ids)
    assert codec.decode((use,)) == {"talk": 1, "walk": 0, "open": 1}
    assert sorted(codec.describe(ids) for ids in all_walks(codec)) == [
        "do nothing", "talk, open", "talk, walk, open", "walk",
    ]  # fmt: skip
    for pressed in ({"talk": 1}, {"open": 1}, {"talk": 1, "open": 1}):
        assert codec.encode(pressed) == [VOCABULARY.start, use, VOCABULARY.end]
    assert codec.max_tokens == 4


def test_controls_of_one_meaning_that_exclude_each_other_are_told_apart() -> None:
    codec = ActionCodec(shop(TALK, WALK, OPEN, exclusive=(("talk", "open"),)), VOCABULARY)
    assert codec.warnings == (
        "talk has the meaning of open but cannot do the same: it stays untouched",
    )
    assert {codec.decode(ids)["talk"] for ids in all_walks(codec)} == {0}
    assert codec.encode({"open": 1})[1:-1] == [VOCABULARY.meaning_to_id["use"]]


def test_a_follower_excludes_what_it_excludes() -> None:
    codec = ActionCodec(shop(TALK, WALK, OPEN, exclusive=(("talk", "walk"),)), VOCABULARY)
    assert sorted(map(codec.describe, all_walks(codec))) == ["do nothing", "talk, open", "walk"]
    assert codec.max_tokens >= 2 + 1


@pytest.mark.parametrize(
    ("first", "second", "follows"),
    [
        (
            Camera(name="a", meaning="look", pitch_bins=BINS, yaw_bins=BINS),
            Camera(name="b", meaning="look", pitch_bins=(-4.0, 0.0), yaw_bins=(0.0, 4.0)),
            True,
        ),
        (
            Camera(name="a", meaning="look", pitch_bins=BINS, yaw_bins=BINS),
            Axis(name="b", meaning="look.yaw", low=-9, high=9),
            False,
        ),
        (Axis(name="a", meaning="steer"), Axis(name="b", meaning="steer", always=True), True),
        (
            Choice(name="a", meaning="mode", options=("x", "y", "z")),
            Choice(name="b", meaning="mode", options=("z", "y")),
            False,
        ),
        (
            Choice(name="a", meaning="mode", options=("x", "y", "z")),
            Choice(name="b", meaning="mode", options=("x", "y", "z"), always=True),
            True,
        ),
        (
            Stick(name="a", meaning="move.stick", rotation_bins=8, magnitude_bins=1),
            Stick(name="b", meaning="move.stick", rotation_bins=4, magnitude_bins=2),
            True,
        ),
    ],
    ids=["cameras", "camera and axis", "axes", "options", "equal options", "sticks"],
)
def test_any_two_controls_with_common_ids_are_no_error(
    first: Any, second: Any, follows: bool
) -> None:
    spec = shop(first, second)
    vocabulary = build_vocabulary([spec], ["go"], 300)
    codec = ActionCodec(spec, vocabulary)
    (warning,) = codec.warnings
    assert warning.startswith("b has the meaning of a")
    assert codec.followers == {"a": ("b",) if follows else ()}
    walks = all_walks(codec)
    assert len(set(walks)) == len(walks)
    for ids in walks:
        action = codec.decode(ids)
        assert spec.normalize(action) == action
        assert len(ids) + 2 <= codec.max_tokens
        assert tuple(codec.encode(action)[1:-1]) in walks
    rng = np.random.default_rng(0)
    for _ in range(40):  # whatever was recorded has ids that are legal
        assert tuple(codec.encode(random_values(spec, rng))[1:-1]) in walks


@pytest.mark.parametrize(
    ("groups", "most"),
    [
        ((("a", "b"),), 2),
        ((("a", "b"), ("a", "c")), 2),
        ((("a", "b"), ("b", "c")), 2),
        ((("a", "b"), ("b", "c"), ("a", "c")), 1),
        ((("a", "b", "c"),), 1),
    ],
)
def test_no_action_is_longer_than_the_most(groups: tuple[tuple[str, ...], ...], most: int) -> None:
    buttons = (
        Button(name="a", meaning="jump"),
        Button(name="b", meaning="use"),
        Button(name="c", meaning="sneak"),
    )
    codec = ActionCodec(shop(*buttons, exclusive=groups), VOCABULARY)
    assert max(map(len, all_walks(codec))) == most
    assert codec.max_tokens >= 2 + most


def test_256_controls_of_one_meaning_are_mapped_at_once() -> None:
    buttons = tuple(Button(name=f"b{i}", meaning="use") for i in range(256))
    names = tuple(button.name for button in buttons)
    codec = ActionCodec(shop(*buttons), VOCABULARY)
    assert sum(codec.decode((VOCABULARY.meaning_to_id["use"],)).values()) == 256
    apart = ActionCodec(shop(*buttons, exclusive=(names,)), VOCABULARY)
    assert sum(apart.decode((VOCABULARY.meaning_to_id["use"],)).values()) == 1

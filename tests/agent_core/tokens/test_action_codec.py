"""Tests of the action codec: legal actions, round trips, mapping of other games by meaning."""

from __future__ import annotations

import numpy as np
import pytest

from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import Vocabulary, build_vocabulary, spec_meanings
from games import Button, Camera, FrameSize, GameSpec
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

"""Tests of the vocabulary: one id per action meaning, text that stays text, segments."""

from __future__ import annotations

import pytest

from agent_core.tokens.vocabulary import BOS, EOS, THOUGHT, build_vocabulary, spec_meanings
from games import Button, FrameSize, GameSpec
from games.bleeding_edge import SPEC as BLEEDING_EDGE
from games.minecraft import SPEC as MINECRAFT
from games.voxel.spec import SPEC

TEXTS = ["chop a tree", "hunt the pig", "no tree in view: turn right"]
VOCABULARY = build_vocabulary([SPEC], TEXTS, 320)


@pytest.mark.parametrize("spec", [SPEC, MINECRAFT, BLEEDING_EDGE], ids=lambda spec: str(spec.id))
def test_every_action_token_has_exactly_one_id(spec: GameSpec) -> None:
    meanings = spec_meanings(spec)
    vocabulary = build_vocabulary([spec], TEXTS, 300)
    assert len(set(meanings)) == len(meanings)
    ids = [vocabulary.meaning_to_id[meaning] for meaning in meanings]
    assert ids == list(range(vocabulary.end + 1, vocabulary.size))


def test_games_share_the_ids_of_what_means_the_same() -> None:
    both = build_vocabulary([SPEC, MINECRAFT], TEXTS, 300)
    assert len(both.action_meanings) == len(
        set(spec_meanings(SPEC)) | set(spec_meanings(MINECRAFT))
    )
    assert both.action_meanings[: len(VOCABULARY.action_meanings)] == VOCABULARY.action_meanings


def test_a_control_without_a_meaning_is_the_games_own() -> None:
    spec = GameSpec(
        id="odd-v0",
        title="Odd",
        frame=FrameSize(height=72, width=128),
        step_hz=20,
        controls=(Button(name="dance"),),
    )
    assert spec_meanings(spec) == ("odd/dance",)


@pytest.mark.parametrize("text", [*TEXTS, "move.forward look.yaw:+9 [EOS] [ESC] é 木"])
def test_text_never_becomes_an_action_or_a_special_id(text: str) -> None:
    assert all(THOUGHT < i < VOCABULARY.text_size for i in VOCABULARY.encode_text(text))


def test_segments_are_framed_and_cut_to_their_slots() -> None:
    long = "chop a tree " * 20
    assert VOCABULARY.text_ids(long, 8)[0] == BOS
    assert VOCABULARY.thought_ids(long, 8)[0] == THOUGHT
    for ids in (VOCABULARY.text_ids(long, 8), VOCABULARY.thought_ids(long, 8)):
        assert len(ids) == 8
        assert ids[-1] == EOS
    assert VOCABULARY.decode_text(VOCABULARY.text_ids("hunt the pig", 32)) == "hunt the pig"


def test_the_same_texts_give_the_same_ids() -> None:
    again = build_vocabulary([SPEC], reversed(TEXTS), 320)
    assert again == VOCABULARY
    assert VOCABULARY.text_size <= 320

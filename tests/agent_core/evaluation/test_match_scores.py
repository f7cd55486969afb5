"""Match scores against values computed by hand."""

import math

import pytest

from agent_core.evaluation.match_scores import NAMES, button_scores, match_scores, mean_scores
from agent_core.evaluation.metrics import (
    bleu,
    bootstrap_interval,
    f1_by_button,
    stick_mae_deg,
    stick_magnitude_mae,
)
from games import Action, FrameSize, GameSpec, Stick
from games.controls import Button

SPEC = GameSpec(
    id="tank-v0",
    title="Tank",
    frame=FrameSize(height=8, width=8),
    step_hz=10,
    controls=(
        Stick(name="left", rotation_bins=16),
        Stick(name="right", rotation_bins=16),
        Button(name="fire"),
        Button(name="smoke"),
    ),
)


def act(**values: object) -> Action:
    return SPEC.normalize(values)


def test_an_angle_is_measured_the_short_way_where_both_sticks_are_moved() -> None:
    predicted = [act(left=(337.5, 1)), act(left=(90, 0.5)), act(right=(180, 1))]
    wanted = [act(left=(22.5, 1)), act(), act(right=(90, 0.25))]
    assert stick_mae_deg(SPEC, predicted, wanted) == pytest.approx((45 + 90) / 2)
    # 0, 0.5 and 0.75 of six sticks
    assert stick_magnitude_mae(SPEC, predicted, wanted) == pytest.approx(1.25 / 6)
    assert math.isnan(stick_mae_deg(SPEC, [act()], wanted[:1]))


def test_each_button_has_its_own_f1() -> None:
    predicted, wanted = [act(fire=1), act(fire=1)], [act(fire=1), act()]
    scores = f1_by_button(SPEC, predicted, wanted)
    assert scores["fire"] == pytest.approx(2 / 3)
    assert math.isnan(scores["smoke"])
    assert button_scores(SPEC, predicted, wanted) == {"fire": 0.6667, "smoke": None}


def test_the_two_tokenisations_differ() -> None:
    """Alone, [fire] has 3 tokens with its markers; cut at the brackets there are 9."""
    wanted, other = [act(fire=1)] * 3, [act(smoke=1)] * 3
    assert bleu(SPEC, wanted, wanted) is None
    assert bleu(SPEC, wanted, wanted, tokenize="13a") == pytest.approx(1.0)
    apart = bleu(SPEC, other, wanted, tokenize="13a")
    assert apart is not None
    assert 0 < apart < 1


def test_each_score_is_its_own() -> None:
    wanted = [act(left=(90, 1), fire=1), act(left=(90, 1), fire=1), act(left=(0, 1))]
    predicted = [act(left=(45, 0.5), fire=1), act(left=(90, 1)), act(left=(0, 1))]
    scores = match_scores(SPEC, predicted, wanted)
    assert scores["bleu4"] == pytest.approx(bleu(SPEC, predicted, wanted), abs=1e-4)
    both = bleu(SPEC, predicted, wanted, tokenize="13a")
    assert scores["bleu4_13a"] == pytest.approx(both, abs=1e-4)
    assert scores["bleu4"] != scores["bleu4_13a"]
    del scores["bleu4"], scores["bleu4_13a"]
    assert scores == {
        "exact": 0.3333,
        "button_f1": 0.6667,
        "stick_deg": 15.0,
        "stick_magnitude": pytest.approx(0.5 / 6, abs=1e-4),
        "camera_deg": None,
        "change_f1": pytest.approx(2 / 3, abs=1e-4),
    }


def test_equal_actions_have_no_error() -> None:
    actions = [
        act(left=(90, 1), right=(0, 1), fire=1),
        act(left=(90, 1), fire=1),
        act(left=(90, 1)),
    ]
    scores = match_scores(SPEC, actions, actions)
    assert set(scores) == set(NAMES)
    assert scores["stick_deg"] == scores["stick_magnitude"] == 0
    assert scores["exact"] == scores["button_f1"] == scores["change_f1"] == 1
    assert scores["bleu4"] == pytest.approx(1)
    assert scores["camera_deg"] is None


def test_means_leave_out_what_is_undefined() -> None:
    defined = dict.fromkeys(NAMES, 0.5)
    means = mean_scores([{**defined, "exact": 0.2}, {**defined, "exact": 0.4, "stick_deg": None}])
    assert means["exact"] == pytest.approx(0.3)
    assert (means["stick_deg"], means["intervals"]["stick_deg"]) == (0.5, None)
    assert means["intervals"]["bleu4"] == [0.5, 0.5]
    assert means["intervals"]["exact"] == [0.2, 0.4]


def test_an_interval_shrinks_with_the_number_of_matches() -> None:
    assert bootstrap_interval([1.0]) is None
    few, many = (bootstrap_interval([0.0, 1.0] * n) for n in (4, 64))
    assert few is not None
    assert many is not None
    assert few[0] < many[0] < 0.5 < many[1] < few[1]
    assert many[1] - many[0] == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(128), abs=0.02)

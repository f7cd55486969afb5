"""Metrics against values computed by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from agent_core.evaluation.metrics import (
    bleu,
    bleu_order,
    button_f1,
    camera_mae_deg,
    change_f1,
    exact_match,
    wilson_interval,
)
from agent_core.evaluation.teacher_forced import next_action_report
from games.spec import Action
from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter, open_episodes


def act(**values: object) -> Action:
    return SPEC.normalize(values)


GO, JUMP, TURN, NONE = act(forward=1), act(jump=1), act(camera=(4.0, -9.0)), act()


def test_exact_match_and_camera() -> None:
    assert exact_match([GO, NONE, TURN], [GO, JUMP, TURN]) == pytest.approx(2 / 3)
    assert camera_mae_deg(SPEC, [TURN, NONE], [NONE, NONE]) == pytest.approx((4 + 9) / 4)


def test_macro_f1_counts_buttons_that_occur() -> None:
    predicted, wanted = [GO, GO, NONE], [GO, NONE, JUMP]
    # forward: 1 hit, predicted 2, wanted 1 -> 2/3; jump: 0 hits, predicted 0, wanted 1 -> 0
    assert button_f1(SPEC, predicted, wanted) == pytest.approx((2 / 3 + 0) / 2)


def test_change_points() -> None:
    wanted = [GO, GO, JUMP, JUMP, NONE]
    assert change_f1([GO, GO, GO, JUMP, JUMP], wanted) == 0.0  # repeating never predicts a change
    assert change_f1(wanted, wanted) == 1.0
    # one change of two predicted, one false positive: hits 1, predicted 2, wanted 2
    assert change_f1([GO, JUMP, JUMP, JUMP, JUMP], wanted) == pytest.approx(0.5)
    assert math.isnan(change_f1([GO, GO], [GO, GO]))


def test_bleu_is_one_for_equal_and_low_for_empty() -> None:
    long = [act(forward=1, jump=1, sprint=1, camera=(4.0, 9.0))] * 4
    assert bleu(SPEC, long, long) == pytest.approx(1.0)
    score = bleu(SPEC, [NONE] * 4, long)
    assert score is not None
    assert score < 0.2


def test_bleu_of_one_token_actions_is_undefined_not_zero() -> None:
    assert bleu(SPEC, [GO, GO], [GO, JUMP]) is None  # three tokens each, with the markers
    assert bleu(SPEC, [GO, GO], [GO, GO], order=3) == pytest.approx(1.0)
    score = bleu(SPEC, [GO, GO], [GO, JUMP], order=2)
    assert score is not None
    assert 0 < score < 1
    assert bleu_order(SPEC, [GO]) == 3
    assert bleu_order(SPEC, []) == 0


def test_undefined_figures_are_null_in_the_report(tmp_path: Path) -> None:
    about = CaptureInfo(instruction="walk", task="walk", seed=0)
    with CaptureWriter.create(tmp_path, SPEC, about) as capture:
        for _ in range(3):
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), GO)
        capture.close(success=True)
    report = next_action_report(open_episodes(tmp_path), {})
    figures = report["repeat_last"]
    assert figures["bleu4"] is None
    assert figures["bleu3"] is not None
    assert figures["bleu3"] > 0.5
    assert figures["change_f1"] is None
    json.dumps(report, allow_nan=False)


def test_wilson_interval_of_textbook_cases() -> None:
    low, high = wilson_interval(9, 10)
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(0, 0) == (0.0, 1.0)

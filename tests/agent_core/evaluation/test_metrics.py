"""Figures computed by hand."""

import json
import math

import numpy as np
import pytest

from agent_core.evaluation.closed_loop import HELD_OUT, EpisodeSpec, Outcome, _EnvSlot, options_of
from agent_core.evaluation.metrics import (
    bleu,
    bleu_order,
    button_f1,
    camera_mae_deg,
    change_f1,
    exact_match,
    wilson_interval,
)
from agent_core.evaluation.report import Evaluation, tally
from agent_core.evaluation.teacher_forced import next_action_report
from agent_core.recording.expert import SEED_LIMIT
from bridges import Decision, PlannedAction, RandomPolicy
from games.voxel import GAME, SINGLE_OBJECT, SPEC, TASKS
from recorder import CaptureInfo, CaptureWriter, open_episodes


def act(**values):
    return SPEC.normalize(values)


def one(number):
    """An action that differs from those of other numbers below nine."""
    return act(**{SPEC.controls[number].name: 1})


GO, JUMP, TURN, NONE = act(forward=1), act(jump=1), act(camera=(4.0, -9.0)), act()


def test_exact_match_and_camera():
    assert exact_match([GO, NONE, TURN], [GO, JUMP, TURN]) == pytest.approx(2 / 3)
    assert camera_mae_deg(SPEC, [TURN, NONE], [NONE, NONE]) == pytest.approx((4 + 9) / 4)


def test_macro_f1_counts_buttons_that_occur():
    predicted, wanted = [GO, GO, NONE], [GO, NONE, JUMP]
    # forward: 1 hit, said 2, real 1 -> 2/3; jump: 0 hits, said 0, real 1 -> 0
    assert button_f1(SPEC, predicted, wanted) == pytest.approx((2 / 3 + 0) / 2)


def test_change_points():
    wanted = [GO, GO, JUMP, JUMP, NONE]
    assert change_f1([GO, GO, GO, JUMP, JUMP], wanted) == 0.0  # repeating never foresees a change
    assert change_f1(wanted, wanted) == 1.0
    # one change of two foretold, one false alarm: hits 1, said 2, real 2
    assert change_f1([GO, JUMP, JUMP, JUMP, JUMP], wanted) == pytest.approx(0.5)
    assert math.isnan(change_f1([GO, GO], [GO, GO]))


def test_bleu_is_one_for_equal_and_low_for_empty():
    long = [act(forward=1, jump=1, sprint=1, camera=(4.0, 9.0))] * 4
    assert bleu(SPEC, long, long) == pytest.approx(1.0)
    assert bleu(SPEC, [NONE] * 4, long) < 0.2


def test_bleu_of_one_token_actions_is_undefined_not_zero():
    assert bleu(SPEC, [GO, GO], [GO, JUMP]) is None  # three tokens each, with the markers
    assert bleu(SPEC, [GO, GO], [GO, GO], order=3) == pytest.approx(1.0)
    assert 0 < bleu(SPEC, [GO, GO], [GO, JUMP], order=2) < 1
    assert bleu_order(SPEC, [GO]) == 3
    assert bleu_order(SPEC, []) == 0


def test_undefined_figures_are_null_in_the_report(tmp_path):
    about = CaptureInfo(instruction="walk", task="walk", seed=0)
    with CaptureWriter.create(tmp_path, SPEC, about) as capture:
        for _ in range(3):
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), GO)
        capture.close(success=True)
    report = next_action_report(open_episodes(tmp_path), {})
    assert report["repeat_last"]["bleu4"] is None
    assert report["repeat_last"]["bleu3"] > 0.5
    assert report["repeat_last"]["change_f1"] is None
    json.dumps(report, allow_nan=False)


def test_wilson_interval_of_textbook_cases():
    low, high = wilson_interval(9, 10)
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_tally_groups_by_task_and_condition():
    outcomes = [Outcome(EpisodeSpec("dig_down", "agent", n), n < 3, 10) for n in range(4)]
    row = tally(outcomes)["dig_down"]["agent"]
    assert (row["success"], row["episodes"]) == (0.75, 4)
    assert row["low"] < 0.75 < row["high"]
    paid = [
        Outcome(EpisodeSpec("win_point", "random", n), False, 10 + n, n - 1.0) for n in range(2)
    ]
    row = tally(paid)["win_point"]["random"]
    assert (row["reward"], row["steps"]) == (-0.5, 10.5)


def test_evaluation_meets_the_same_unseen_worlds_under_every_condition():
    trials = Evaluation(episodes=14).episode_specs
    worlds = {
        c: {(t.task, t.seed) for t in trials if t.condition == c}
        for c in ("agent", "expert", "random")
    }
    assert worlds["agent"] == worlds["expert"] == worlds["random"]
    assert min(t.seed for t in trials) >= HELD_OUT > SEED_LIMIT
    assert {t.task for t in trials} == set(TASKS)
    assert {t.task for t in trials if t.condition == "agent_swapped"} == set(SINGLE_OBJECT)


def test_swapped_words_belong_to_another_task():
    for seed in range(20):
        told = options_of(EpisodeSpec("hunt_cow", "agent_swapped", seed), GAME)["instruction"]
        own = {s for v in TASKS["hunt_cow"].paraphrases.values() for s in v}
        assert told
        assert told not in own
    assert options_of(EpisodeSpec("hunt_cow", "agent_no_instruction", 1), GAME)["instruction"] == ""


def test_a_swapped_episode_ends_when_what_was_asked_is_done():
    trial = EpisodeSpec("go_to_gold", "agent_swapped", HELD_OUT)
    lane = _EnvSlot(trial, RandomPolicy(), "voxel")
    other = GAME.teacher()(lane.swapped_env)
    while lane.outcome is None:
        assert (lane.env.view().frame == lane.swapped_env.view().frame).all()
        lane.step(other()[0])
    assert not lane.outcome.success
    assert lane.steps < TASKS["chop_tree"].limit


@pytest.mark.parametrize(
    ("late", "foretold", "played"),
    [
        (0, 0, [0, 1, 2, 3, 4, 5]),
        (0, 3, [0, 1, 2, 3, 4, 5]),
        (1, 0, [None, 0, 1, 2, 3, 4]),  # each answer is a step old
        (1, 3, [None, 1, 2, 3, 4, 5]),  # and foretold that step
        (2, 0, [None, None, 0, 0, 2, 2]),
        (2, 2, [None, None, 2, 2, 4, 4]),
        (2, 3, [None, None, 2, 3, 4, 5]),
    ],
)
def test_a_late_answer_gives_what_it_foretold(late, foretold, played):
    lane = _EnvSlot(EpisodeSpec("go_to_gold", "agent", HELD_OUT), RandomPolicy(), "voxel", late)
    due = []
    for step in range(6):
        if step % (late or 1) == 0:
            later = tuple(PlannedAction(one(step + k), "") for k in range(1, foretold + 1))
            lane.on_decision(Decision(one(step), "", 1.0, chunk_rest=later))
        due.append(lane.current_action())
        lane.steps += 1
    assert due == [NONE if k is None else one(k) for k in played]


def test_a_late_player_is_told_what_was_done_meanwhile():
    lane = _EnvSlot(
        EpisodeSpec("go_to_gold", "agent", HELD_OUT), RandomPolicy(), "voxel", latency_steps=2
    )
    told = []
    for step in range(6):
        if lane.is_query_step():
            told.append(lane.request().executed)
            lane.on_decision(Decision(one(step), "", 1.0))
        lane.step(lane.current_action())
    assert told == [None, NONE, one(0)]

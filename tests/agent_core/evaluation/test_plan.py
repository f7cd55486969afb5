"""Evaluation plans: which worlds under which conditions, and what is refused before anything is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent_core.evaluation.plan import CONDITIONS, HELD_OUT, Evaluation, default_conditions
from agent_core.recording.expert import SEED_LIMIT
from games import UnplayableError
from games.registry import load
from games.voxel import SINGLE_OBJECT, TASKS
from recorder import CaptureError


def test_evaluation_meets_the_same_unseen_worlds_under_every_condition() -> None:
    specs = Evaluation(episodes=14).episode_specs
    worlds = {
        c: {(t.task, t.seed) for t in specs if t.condition == c}
        for c in ("agent", "expert", "random")
    }
    assert worlds["agent"] == worlds["expert"] == worlds["random"]
    assert min(t.seed for t in specs) >= HELD_OUT > SEED_LIMIT
    assert {t.task for t in specs} == set(TASKS)
    assert {t.task for t in specs if t.condition == "agent_swapped"} == set(SINGLE_OBJECT)


def test_the_expert_measures_also_where_it_is_no_condition() -> None:
    plan = Evaluation(episodes=14, conditions=("agent", "agent_swapped"))
    worlds = {(spec.task, spec.seed) for spec in plan.episode_specs}
    assert {(spec.task, spec.seed) for spec in plan.reference_specs} == worlds
    assert {spec.condition for spec in plan.reference_specs} == {"expert"}
    assert Evaluation(episodes=14).reference_specs == []  # it plays there already


def test_a_game_without_an_expert_is_evaluated_without_one() -> None:
    game = load("voxel")
    assert default_conditions(game) == CONDITIONS
    assert set(CONDITIONS) - set(default_conditions(replace(game, make_expert=None))) == {"expert"}


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (Evaluation(conditions=("agnt",)), "no condition called 'agnt'; did you mean 'agent'"),
        (Evaluation(conditions=("xyz",)), "there are agent, agent_no_instruction"),
        (Evaluation(tasks=("dig_dwn",)), "did you mean 'dig_down'"),
        (Evaluation(game="minecraft"), "minecraft has no tasks"),
        (Evaluation(action_latency_steps=-1), "0 steps or more, not -1"),
        (Evaluation(game="frozen-lake", conditions=("agent_swapped",)), "nothing to play"),
    ],
)
def test_a_plan_that_cannot_be_played_is_refused(plan: Evaluation, line: str) -> None:
    with pytest.raises(UnplayableError, match=line):
        plan.check()


def test_data_of_the_next_action_figures_must_be_there() -> None:
    with pytest.raises(CaptureError, match="no episodes in /nowhere"):
        Evaluation(data=Path("/nowhere")).check()
    Evaluation(data=Path("/nowhere"), next_action_episodes=0).check()

"""Closed-loop evaluation: swapped instructions, and decisions that come late."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent_core.evaluation import closed_loop
from agent_core.evaluation.closed_loop import (
    Setup,
    _EnvSlot,
    options_of,
    play_episodes,
    run_episodes,
)
from agent_core.evaluation.plan import HELD_OUT, EpisodeSpec
from bridges.policy import Decision, PlannedAction
from bridges.serving.random_policy import RandomPolicy
from games import Game, Observation, UnplayableError
from games.registry import load
from games.spec import Action
from games.voxel import GAME, SPEC, TASKS
from games.voxel.env import VoxelEnv

NONE = SPEC.null_action()
NO_FRAME = np.zeros(SPEC.frame.shape, np.uint8)


def one(number: int) -> Action:
    """An action that differs from those of other numbers below nine."""
    return SPEC.normalize({SPEC.controls[number].name: 1})


def test_swapped_words_belong_to_another_task() -> None:
    for seed in range(20):
        instruction = options_of(EpisodeSpec("hunt_cow", "agent_swapped", seed), GAME)[
            "instruction"
        ]
        paraphrases = {s for v in TASKS["hunt_cow"].paraphrases.values() for s in v}
        assert instruction
        assert instruction not in paraphrases
    assert options_of(EpisodeSpec("hunt_cow", "agent_no_instruction", 1), GAME)["instruction"] == ""


class OneMission(VoxelEnv):
    """Every world has the same words."""

    def reset(self, **settings: Any) -> tuple[Observation, dict[str, Any]]:
        return {"frame": NO_FRAME, "instruction": "go on"}, {}


def test_a_game_of_one_mission_is_refused_before_anything_is_played(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    game = Game(SPEC, OneMission, ("go_on",), has_missions=True)
    monkeypatch.setattr(closed_loop, "load", lambda name: game)
    monkeypatch.setattr(closed_loop, "run_jobs", None)
    specs = [EpisodeSpec("go_on", condition, 1) for condition in ("random", "agent_swapped")]
    with pytest.raises(UnplayableError, match="100 seeds of voxel have one mission"):
        run_episodes(specs, Setup(Path("none")), workers=1)


@pytest.mark.parametrize(("max_envs", "made"), [(1, 1), (2, 2), (None, 3)])
def test_no_more_environments_are_made_than_the_game_can_run(
    monkeypatch: pytest.MonkeyPatch, max_envs: int | None, made: int
) -> None:
    envs: list[Any] = []
    closed: list[Any] = []

    def make_lake(name: str) -> Any:
        envs.append(env := load(name).make())  # type: ignore[misc]
        monkeypatch.setattr(env, "close", lambda: closed.append(env))
        return env

    monkeypatch.setattr(closed_loop, "make", make_lake)
    game = replace(load("frozen-lake"), max_envs=max_envs)
    monkeypatch.setattr(closed_loop, "load", lambda name: game)
    specs = [EpisodeSpec("cross_lake", "random", seed) for seed in (5, 6, 7)]
    outcomes = list(play_episodes(specs, Setup(Path("none"), game="frozen-lake")))
    assert sorted(outcome.spec.seed for outcome in outcomes) == [5, 6, 7]
    assert len(envs) == made
    assert {id(env) for env in closed} == {id(env) for env in envs}


def test_a_swapped_episode_ends_when_what_was_asked_is_done() -> None:
    spec = EpisodeSpec("go_to_gold", "agent_swapped", HELD_OUT)
    slot = _EnvSlot(spec, RandomPolicy(), "voxel")
    env, swapped_env, expert = slot.env, slot.swapped_env, GAME.expert
    assert isinstance(env, VoxelEnv)
    assert isinstance(swapped_env, VoxelEnv)
    assert expert is not None
    other = expert()(swapped_env)
    while slot.outcome is None:
        assert (env.view().frame == swapped_env.view().frame).all()
        slot.step(other()[0])
    assert not slot.outcome.success
    assert slot.steps < TASKS["chop_tree"].limit


@pytest.mark.parametrize(
    ("latency_steps", "planned", "played"),
    [
        (0, 0, [0, 1, 2, 3, 4, 5]),
        (0, 3, [0, 1, 2, 3, 4, 5]),
        (1, 0, [None, 0, 1, 2, 3, 4]),  # each decision is a step old
        (1, 3, [None, 1, 2, 3, 4, 5]),  # and planned that step
        (2, 0, [None, None, 0, 0, 2, 2]),
        (2, 2, [None, None, 2, 2, 4, 4]),
        (2, 3, [None, None, 2, 3, 4, 5]),
    ],
)
def test_a_late_decision_gives_what_it_planned(
    latency_steps: int, planned: int, played: list[int | None]
) -> None:
    slot = _EnvSlot(
        EpisodeSpec("go_to_gold", "agent", HELD_OUT), RandomPolicy(), "voxel", latency_steps
    )
    due = []
    for step in range(6):
        if step % (latency_steps or 1) == 0:
            later = tuple(
                PlannedAction(action=one(step + k), words="") for k in range(1, planned + 1)
            )
            slot.on_decision(Decision(action=one(step), words="", probability=1.0, later=later))
        due.append(slot.current_action())
        slot.steps += 1
    assert due == [NONE if k is None else one(k) for k in played]


def test_a_late_policy_gets_the_action_executed_meanwhile() -> None:
    slot = _EnvSlot(
        EpisodeSpec("go_to_gold", "agent", HELD_OUT), RandomPolicy(), "voxel", latency_steps=2
    )
    executed = []
    for step in range(6):
        if slot.is_query_step():
            executed.append(slot.request().executed)
            slot.on_decision(Decision(action=one(step), words="", probability=1.0))
        slot.step(slot.current_action())
    assert executed == [None, NONE, one(0)]

"""Brawl expert: it sees only frames, and does what it is told."""

import pytest

from games.brawl import ROLES, SPEC, BrawlEnv
from games.brawl.command import REST
from games.brawl.expert import Expert, scripted_expert


def reaches(task: str, seed: int, **options: object) -> bool:
    env = BrawlEnv()
    observation, info = env.reset(seed=seed, options={"task": task, **options})
    expert, ended = Expert(env.goal, seed), False
    while not ended:
        action, thought = expert.act(observation["frame"])
        assert SPEC.normalize(action) == action
        assert thought
        observation, _, terminated, truncated, info = env.step(action)
        ended = terminated or truncated
    return bool(info["success"])


def test_the_expert_brings_cells_home() -> None:
    assert reaches("bring_cells", 0)


@pytest.mark.slow
@pytest.mark.parametrize("task", ROLES)
def test_the_expert_does_what_it_is_told(task: str) -> None:
    assert sum(reaches(task, seed) for seed in range(500, 520)) >= 16


def test_without_an_instruction_it_waits() -> None:
    env = BrawlEnv()
    observation, _ = env.reset(seed=1, options={"task": "bring_cells", "instruction": ""})
    action, thought = Expert(env.goal).act(observation["frame"])
    assert action == SPEC.null_action()
    assert "wait" in thought


@pytest.mark.parametrize("task", ROLES)
def test_its_way_follows_from_the_picture_where_another_plays(task: str) -> None:
    env = BrawlEnv()
    observation, _ = env.reset(seed=3, options={"task": task})
    expert, frame = Expert(env.goal), observation["frame"]
    ways = [expert.act(frame, done=REST)[0]["left_stick"] for _ in range(80)]
    assert set(ways) == {ways[0]}


def test_it_knows_whether_its_action_was_done() -> None:
    env = BrawlEnv()
    env.reset(seed=3, options={"task": "defend_point"})
    act = scripted_expert(env)
    first = act()[0]
    assert first["left_stick"] != (0.0, 0.0)
    for _ in range(60):
        env.step({})  # somebody else stands still: the expert is not stuck
        way = act()[0]["left_stick"]
        assert way == Expert(env.goal).act(env.frame)[0]["left_stick"]

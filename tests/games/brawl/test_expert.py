"""Brawl expert: it sees only frames, and does what it is told."""

import pytest

from games.brawl import ROLES, SPEC, BrawlEnv
from games.brawl.expert import Expert


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

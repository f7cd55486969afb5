"""Voxel expert: it reaches every kind of goal, with legal actions and a thought at each step."""

import pytest

from games.voxel import SPEC, TASKS, VoxelEnv
from games.voxel.expert import Expert


def fresh(task: str, seed: int = 3, **options: object) -> VoxelEnv:
    env = VoxelEnv()
    env.reset(seed=seed, options={"task": task, **options})
    return env


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_reaches_every_kind_of_goal(task: str) -> None:
    env = fresh(task, seed=500)
    expert = Expert(env.goal)
    while True:
        action, thought = expert.act(env.view(), env.player)
        assert SPEC.normalize(action) == action
        assert thought
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            break
    assert info["success"]

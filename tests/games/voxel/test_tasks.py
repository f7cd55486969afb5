"""Tasks: goals judged by the game's state, and their instructions."""

import numpy as np
import pytest

from games.voxel import SINGLE_OBJECT, TASKS, Goal, VoxelEnv
from games.voxel import blocks as b
from games.voxel.tasks import judge


def fresh(task: str, seed: int = 3, **options: object) -> VoxelEnv:
    env = VoxelEnv()
    env.reset(seed=seed, options={"task": task, **options})
    return env


@pytest.mark.parametrize(
    ("task", "item"), [("chop_tree", "wood"), ("hunt_cow", "beef"), ("hunt_pig", "pork")]
)
def test_collecting_is_judged_by_what_was_collected(task: str, item: str) -> None:
    env = fresh(task)
    assert not env.verdict.success
    env.player.collect("dirt")
    assert not judge(env.goal, env.world, env.player, env.player.y, 9).success
    env.player.collect(item)
    assert judge(env.goal, env.world, env.player, env.player.y, 9).success


def test_order_matters_for_two_kinds() -> None:
    env = fresh("collect_in_order", items=("beef", "wood"))
    env.player.collect("beef")
    half = judge(env.goal, env.world, env.player, env.player.y, 9)
    assert half.progress == 0.5
    assert not half.success
    env.player.collect("wood")
    assert judge(env.goal, env.world, env.player, env.player.y, 9).success
    wrong = fresh("collect_in_order", items=("wood", "beef"))
    wrong.player.collect("beef")
    assert judge(wrong.goal, wrong.world, wrong.player, wrong.player.y, 9).failure


def test_places_are_judged_by_where_the_player_stands() -> None:
    gold = fresh("go_to_gold")
    gold.player.x, gold.player.z = (
        gold.world.landmarks[b.GOLD][0] + 1.5,
        gold.world.landmarks[b.GOLD][1],
    )
    assert gold.step({})[4]["success"]
    peak = fresh("climb_highest")
    top = np.array([[peak.world.ground(x, z) for z in range(1, 55)] for x in range(1, 55)])
    pillar = np.isin(peak.world.blocks[1:55, :, 1:55], (b.GOLD, b.LAPIS, b.BRICK)).any(1)
    x, z = np.argwhere((top == peak.world.peak) & ~pillar)[0] + 1
    peak.player.x, peak.player.y, peak.player.z = x + 0.5, peak.world.peak + 1.3, z + 0.5
    assert not peak.step({})[4]["success"]  # still in the air
    assert any(peak.step({})[4]["success"] for _ in range(10))


def test_digging_takes_a_hole_of_four_blocks() -> None:
    env = fresh("dig_down")
    look = {"camera": (18, 0)}
    for _ in range(5):
        env.step(look)
    rewards = [env.step({"attack": 1})[1] for _ in range(10)]
    assert sum(rewards) == 0
    assert env.player.inventory.get("dirt")


def test_a_new_goal_counts_from_now() -> None:
    env = fresh("chop_tree")
    env.player.collect("wood")
    env.set_goal(Goal("chop_tree", "chop a tree", ("wood",)))
    _, reward, ended, _, info = env.step({})
    assert (reward, ended, info["success"]) == (0.0, False, False)


def test_every_task_has_words_and_a_swap() -> None:
    assert len(TASKS) == 7
    assert set(SINGLE_OBJECT) < set(TASKS)
    sentences = [s for t in TASKS.values() for v in t.paraphrases.values() for s in v]
    assert len(sentences) == len(set(sentences)) >= 100

"""The embedded game: worlds by seed, pictures, goals judged by the game's state, and the expert that reaches them."""

import numpy as np
import pytest

from games.check import check_env
from games.voxel import SINGLE_OBJECT, SPEC, TASKS, Goal, VoxelEnv
from games.voxel import blocks as b
from games.voxel.expert import Expert
from games.voxel.render import Pose, rays, render
from games.voxel.tasks import judge
from games.voxel.world import generate


def fresh(task: str, seed: int = 3, **options) -> VoxelEnv:
    env = VoxelEnv()
    env.reset(seed=seed, options={"task": task, **options})
    return env


def test_it_keeps_the_contract():
    assert check_env(VoxelEnv()) == []


def test_neighbouring_columns_differ_by_one_step_at_most():
    for seed in range(5):
        world = generate(np.random.default_rng(seed))
        ground = np.array([[world.ground(x, z) for z in range(1, 55)] for x in range(1, 55)])
        pillars = np.zeros_like(ground, bool)
        for x, z in world.landmarks.values():
            pillars[int(x) - 3 : int(x) + 2, int(z) - 3 : int(z) + 2] = True
        for axis in (0, 1):
            step = np.abs(np.diff(ground, axis=axis))
            open_ground = ~(np.diff(pillars, axis=axis) | np.delete(pillars, 0, axis))
            assert step[open_ground].max() <= 1


def test_leaping_rays_hit_what_small_steps_hit():
    rng = np.random.default_rng(0)
    world = generate(rng)
    x, z = 20.5, 30.5
    pose = Pose(x, world.ground(x, z) + 4.2, z, 40.0, 12.0)
    view = render(world, [], pose, 18, 32, 0, 1.0)
    directions = rays(pose, 18, 32)
    for pixel in rng.choice(18 * 32, 60, replace=False):
        d = directions[:, pixel].astype(float)
        t = np.arange(0.0, 44.0, 0.005)
        cells = np.floor(np.array([pose.x, pose.y, pose.z])[:, None] + d[:, None] * t).astype(int)
        inside = ((cells >= 0) & (cells < np.array(world.blocks.shape)[:, None])).all(0)
        kinds = world.blocks[tuple(cells[:, inside])]
        first = np.flatnonzero(kinds != b.AIR)
        if len(first) and kinds[first[0]] != b.OUTSIDE:
            assert abs(t[first[0]] - view.distance.reshape(-1)[pixel]) < 0.05


def test_placing_and_removing_blocks_keeps_rays_right():
    world = generate(np.random.default_rng(1))
    x, z = 20, 30
    y = world.ground(x, z) + 3
    world.place(x, y, z + 5, b.DIRT)
    pose = Pose(x + 0.5, y + 0.5, z + 0.5, 0.0, 0.0)
    view = render(world, [], pose, 9, 9, 0, 1.0)
    assert view.kind[4, 4] == b.DIRT
    assert view.distance[4, 4] == pytest.approx(4.5, abs=0.05)
    world.remove(x, y, z + 5)
    assert render(world, [], pose, 9, 9, 0, 1.0).kind[4, 4] != b.DIRT


@pytest.mark.parametrize(
    ("task", "item"), [("chop_tree", "wood"), ("hunt_cow", "beef"), ("hunt_pig", "pork")]
)
def test_collecting_is_judged_by_what_was_collected(task, item):
    env = fresh(task)
    assert not env.verdict.success
    env.player.collect("dirt")
    assert not judge(env.goal, env.world, env.player, env.player.y, 9).success
    env.player.collect(item)
    assert judge(env.goal, env.world, env.player, env.player.y, 9).success


def test_order_matters_for_two_kinds():
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


def test_places_are_judged_by_where_the_player_stands():
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


def test_digging_takes_a_hole_of_four_blocks():
    env = fresh("dig_down")
    look = {"camera": (18, 0)}
    for _ in range(5):
        env.step(look)
    rewards = [env.step({"attack": 1})[1] for _ in range(10)]
    assert sum(rewards) == 0
    assert env.player.inventory.get("dirt")


def test_a_new_goal_counts_from_now():
    env = fresh("chop_tree")
    env.player.collect("wood")
    env.set_goal(Goal("chop_tree", "chop a tree", ("wood",)))
    _, reward, ended, _, info = env.step({})
    assert (reward, ended, info["success"]) == (0.0, False, False)


def test_every_task_has_words_and_a_swap():
    assert len(TASKS) == 7
    assert set(SINGLE_OBJECT) < set(TASKS)
    sentences = [s for t in TASKS.values() for v in t.paraphrases.values() for s in v]
    assert len(sentences) == len(set(sentences)) >= 100


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_reaches_every_kind_of_goal(task):
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

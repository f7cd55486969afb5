"""Rewards and ends: what Minecraft's mod counts."""

import pytest

from bridges.malmo.mission import Agent, BlockReward, ItemAmount, ItemReward, ItemRewards, Video
from bridges.malmo.rewards import Rewards


def agent(**fields: object) -> Agent:
    return Agent.model_validate({"name": "agent", "video": Video(width=64, height=64), **fields})


def items(sparse: bool = False, exclude_loops: bool = True, amount: int = 1) -> ItemRewards:
    specs = (ItemReward(type="log", amount=amount, reward=2.0),)
    return ItemRewards(sparse=sparse, exclude_loops=exclude_loops, items=specs)


def test_every_further_item_is_rewarded() -> None:
    rewards = Rewards(agent(item_rewards=items()))
    assert [rewards.gained("log", 1), rewards.gained("log", 3)] == [2.0, 6.0]
    assert rewards.gained("dirt", 1) == 0.0


def test_an_item_lost_and_gained_again_is_rewarded_once() -> None:
    rewards = Rewards(agent(item_rewards=items()))
    rewards.gained("log", 2)
    rewards.lost("log", 2)
    assert [rewards.gained("log", 1) for _ in range(3)] == [0.0, 0.0, 2.0]
    loops = Rewards(agent(item_rewards=items(exclude_loops=False)))
    loops.gained("log", 2)
    loops.lost("log", 2)
    assert loops.gained("log", 1) == 2.0


def test_a_sparse_reward_comes_once() -> None:
    rewards = Rewards(agent(item_rewards=items(sparse=True, amount=2)))
    assert [rewards.gained("log", 1) for _ in range(4)] == [0.0, 2.0, 0.0, 0.0]


def test_a_reward_for_several_items_comes_with_the_last_of_them() -> None:
    rewards = Rewards(agent(item_rewards=items(amount=2)))
    assert [rewards.gained("log", 1) for _ in range(4)] == [0.0, 2.0, 0.0, 2.0]


def test_a_mission_is_over_with_enough_items() -> None:
    rewards = Rewards(agent(quits_with_items=(ItemAmount(type="log", amount=2),)))
    rewards.gained("dirt", 5)
    rewards.gained("log", 1)
    assert not rewards.over
    rewards.gained("log", 1)
    assert rewards.over


@pytest.mark.parametrize(
    ("behaviour", "sums"),
    [("onceOnly", [5.0, 0.0, 0.0]), ("oncePerBlock", [10.0, 0.0, 5.0]), ("constant", [10.0, 10.0, 5.0])],
)  # fmt: skip
def test_blocks_are_rewarded_where_they_are_touched(behaviour: str, sums: list[float]) -> None:
    spec = BlockReward.model_validate({"type": "gold", "reward": 5, "behaviour": behaviour})
    rewards = Rewards(agent(block_rewards=(spec,), quits_at_blocks=("lava",)))
    two = [("gold", (0, 0, 0)), ("gold", (0, 1, 0)), ("dirt", (0, 2, 0))]
    assert [
        rewards.touches(two),
        rewards.touches(two),
        rewards.touches([("gold", (1, 0, 0))]),
    ] == sums
    assert not rewards.over
    rewards.touches([("lava", (0, 0, 0))])
    assert rewards.over


def test_coming_nearer_is_rewarded() -> None:
    rewards = Rewards(agent(reward_per_block=2.0))
    assert [rewards.is_away(10.0), rewards.is_away(8.5), rewards.is_away(9.0)] == [0.0, 3.0, -1.0]

"""Frozen Lake as a third-party game: the contract, lakes by seed, and an expert that crosses them."""

from __future__ import annotations

import numpy as np

from games.check import check_env
from games.frozen_lake import GAME, LIMIT, SPEC
from games.registry import make


def cross(seed: int, *, expert: bool) -> tuple[bool, int]:
    """Success and steps of one episode, of the expert or of random moves."""
    env, rng = make("frozen-lake"), np.random.default_rng(seed)
    env.reset(seed=seed, options={"task": "cross_lake"})
    player, names = GAME.expert()(env), [c.name for c in SPEC.controls]
    steps = 0
    for _ in range(LIMIT):
        steps += 1
        action = player()[0] if expert else {names[int(rng.integers(4))]: 1}
        *_, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            break
    env.close()
    return info["success"], steps


def test_it_keeps_the_contract() -> None:
    assert check_env(make("frozen-lake")) == []


def test_every_seed_has_its_own_lake() -> None:
    env = make("frozen-lake")
    frames = [env.reset(seed=seed)[0]["frame"] for seed in (1, 2, 1)]
    assert (frames[0] == frames[2]).all()
    assert (frames[0] != frames[1]).any()


def test_the_expert_crosses_every_lake_on_the_shortest_way() -> None:
    assert [cross(seed, expert=True) for seed in range(8)] == [(True, 6)] * 8
    assert sum(cross(seed, expert=False)[0] for seed in range(20)) < 10


def test_nothing_held_stays() -> None:
    env = make("frozen-lake")
    before, _ = env.reset(seed=3)
    after, reward, terminated, *_ = env.step({})
    assert (before["frame"] == after["frame"]).all()
    assert (reward, terminated) == (0.0, False)

"""PettingZoo environment: its contract, and one match for all."""

import warnings

import numpy as np
import pytest

pytest.importorskip("pettingzoo")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own, of its own games
    from pettingzoo.test import parallel_api_test

from games.brawl.bout import Bout
from games.brawl.parallel import AGENTS, BrawlParallelEnv
from games.brawl.picture import draw


@pytest.mark.filterwarnings("ignore")
def test_it_keeps_pettingzoos_contract() -> None:
    parallel_api_test(BrawlParallelEnv(seats=(0, 5)), num_cycles=8)


def test_all_see_the_same_match_and_bots_play_the_rest() -> None:
    env = BrawlParallelEnv(seats=(2, 4))
    observations, _ = env.reset(seed=3)
    assert env.agents == [AGENTS[2], AGENTS[4]]
    start = [(f.x, f.y) for f in env.bout.match.fighters]
    for _ in range(25):
        observations, rewards, ended, _, _ = env.step({AGENTS[2]: {"left_stick": (0.0, 1.0)}})
    moved = [(f.x, f.y) != at for f, at in zip(env.bout.match.fighters, start, strict=True)]
    assert moved == [True, True, True, True, False, True, True, True]
    for agent, seat in zip(env.agents, (2, 4), strict=True):
        assert np.array_equal(observations[agent]["frame"], draw(env.bout.match, seat))
    assert sum(rewards.values()) == 0
    assert not any(ended.values())
    assert isinstance(env.bout, Bout)


def test_a_match_ends_for_all() -> None:
    env = BrawlParallelEnv()
    env.reset(seed=1)
    env.bout.match.score[1] = 100
    _, _, ended, _, infos = env.step({})
    assert all(ended.values())
    assert len(ended) == 8
    assert [info["success"] for info in infos.values()] == [False] * 4 + [True] * 4
    assert env.agents == []

"""Pong as a third-party game: the contract, seeds, and an expert that uses the frame only and wins."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from games import Env, Expert, UnplayableError
from games.check import check_env
from games.pong import GAME, LIMIT, SPEC, TASKS, first_point
from games.registry import make

HELD_OUT = 1_000_000_000


def play_point(choose: Callable[[Env], Expert], seed: int) -> tuple[float, bool, int]:
    """Reward, success and steps of one episode."""
    env = make("pong")
    env.reset(seed=seed, options={"task": "win_point"})
    player, steps = choose(env), 0
    while True:
        _, reward, terminated, truncated, info = env.step(player()[0])
        steps += 1
        if terminated or truncated:
            env.close()
            return reward, info["success"], steps


def test_it_keeps_the_contract() -> None:
    assert check_env(make("pong")) == []


def test_every_seed_begins_its_own_way_with_the_ball_far_away() -> None:
    env: Any = make("pong")
    frames = [env.reset(seed=seed)[0]["frame"] for seed in (1, 2, 1)]
    assert (frames[0] == frames[2]).all()
    assert (frames[0] != frames[1]).any()
    env.reset(seed=3)
    rows, columns = np.nonzero((env.native_frame[34:194, 20:140] == 236).all(2))
    assert len(rows)
    assert columns.max() < 60 + 4


def test_the_first_point_decides() -> None:
    assert first_point([0.0, 1.0], False) is True
    assert first_point([0.0, -1.0], False) is False
    assert first_point([0.0, 0.0], False) is None
    assert first_point([0.0, 0.0], True) is False


def test_the_expert_wins_where_doing_nothing_loses() -> None:
    played = [play_point(GAME.expert(), HELD_OUT + seed) for seed in range(3)]
    assert sum(success for _, success, _ in played) >= 2
    assert max(steps for *_, steps in played) <= LIMIT
    reward, success, _ = play_point(lambda env: lambda: ({}, ""), HELD_OUT)
    assert (reward, success) == (-1.0, False)


def test_the_experts_words_fit_its_moves() -> None:
    env = make("pong")
    env.reset(seed=5, options={"task": "win_point"})
    expert, moves = GAME.expert()(env), set()
    for _ in range(80):
        action, thought = expert()
        assert SPEC.normalize(action) == action
        moves.add((SPEC.to_words(action), thought))
        env.step(action)
    assert {
        ("move up", "ball above: move up"),
        ("do nothing", "level with the ball: wait"),
    } <= moves
    assert all(("up" in thought) == (words == "move up") for words, thought in moves)
    assert len(set(TASKS["win_point"])) == 10


def test_without_words_the_expert_waits() -> None:
    env = make("pong")
    observation, _ = env.reset(seed=5, options={"task": "free"})
    assert observation["instruction"] == ""
    assert GAME.expert()(env)() == (SPEC.null_action(), "no instruction: wait")


def test_without_the_emulator_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UnplayableError, match=r"pip install 'iafm\[atari\]'"):
        make("pong")

"""Stand-in for Minecraft: a proper environment, whose scripted player gets its work done by what it sees."""

from __future__ import annotations

import numpy as np

from agent_core.bench.minecraft_session import GAME, TASKS, MinecraftSession, Player
from games.check import check_env
from games.minecraft import SPEC


def test_it_is_an_environment() -> None:
    assert check_env(MinecraftSession()) == []


def test_the_player_gets_something_done() -> None:
    for seed in range(2):
        env = MinecraftSession()
        env.reset(seed=seed, options={"task": "seconds"})
        player, truncated = Player(env), False
        while not truncated:
            action, _ = player()
            assert SPEC.normalize(action) == action
            _, _, _, truncated, info = env.step(action)
        assert (env.steps, info["success"]) == (TASKS["seconds"], True)


def test_the_screen_follows_the_camera() -> None:
    env = MinecraftSession()
    env.reset(seed=1)
    env.pillar.right = 0.0
    null = SPEC.null_action()
    before = env.step(null)[0]["frame"]
    turned = env.step({**null, "camera": (0.0, 20.0)})[0]["frame"]
    assert np.array_equal(env.step({**null, "camera": (0.0, -20.0)})[0]["frame"], before)
    assert not np.array_equal(turned, before)
    assert GAME.spec == SPEC

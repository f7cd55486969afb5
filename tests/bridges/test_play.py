"""Rollouts over the wire: an environment is played to the end of its episodes, or stopped."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from bridges.client import instruct
from bridges.play import Start, play
from bridges.protocol.messages import Act
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from games import Action, FrameSize, GameSpec, action_space, observation_space
from games.controls import Button
from games.env import Observation

SPEC = GameSpec(
    id="lamp-v0",
    title="Lamp",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="on", label="switch on"), Button(name="off", label="switch off")),
)


class Lamp:
    """An environment that ends with success after `lit_after` steps of "on"."""

    def __init__(self, lit_after: int = 3) -> None:
        self.game = SPEC
        self.observation_space: spaces.Space[Any] = observation_space(SPEC)
        self.action_space: spaces.Space[Any] = action_space(SPEC)
        self.lit_after, self.count = lit_after, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self.count = 0
        return self.observe(), {"task": "lamp", "success": False}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.count += action["on"]
        lit = self.count >= self.lit_after
        return self.observe(), 0.0, lit, False, {"task": "lamp", "success": lit}

    def observe(self) -> Observation:
        return {"frame": np.zeros(SPEC.frame.shape, np.uint8), "instruction": "switch on"}

    def close(self) -> None:
        pass


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_play_drives_an_environment(mode: str) -> None:
    with background_server(RandomPolicy()) as server:
        report = play(Lamp(), server.url, [Start(0), Start(1)], mode=mode, pace_hz=200)
        assert (report.episodes, report.successes) == (2, 2)
        assert report.summary()["age_ms"]["p95"] > 0


def test_a_stopped_rollout_reports_a_console_instruction() -> None:
    received: list[str] = []
    steps: list[Act | None] = []
    with background_server(RandomPolicy()) as server:

        def on_step(act: Act | None, info: dict[str, Any]) -> None:
            steps.append(act)
            if len(steps) == 1:
                instruct(server.url, "switch off")

        report = play(
            Lamp(lit_after=10**9),
            server.url,
            [Start(0), Start(1)],
            on_step=on_step,
            on_instruct=received.append,
            stop=lambda report: bool(received),
        )
    assert received == ["switch off"]
    assert (report.episodes, report.steps) == (0, len(steps))
    assert report.first_action_s is not None

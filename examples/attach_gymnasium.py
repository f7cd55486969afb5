"""Attach any Gymnasium environment: wrap its pictures as frames and its actions as buttons.

iafm serve --policy random &
python examples/attach_gymnasium.py        # or --demo to start a server of its own for a moment
"""

import asyncio
import sys
from typing import Any

import cv2
import gymnasium
import numpy as np

from bridges import BridgeServer, RandomPolicy, Start, play
from games import Button, FrameSize, GameSpec, action_space, observation_space

SPEC = GameSpec(
    id="cartpole-v0",
    title="Gymnasium's CartPole",
    frame=FrameSize(height=72, width=128),
    step_hz=20,
    controls=(Button(name="right", meaning="move.right", label="push right"),),
)


class CartPole:
    """CartPole as a `games.Env`; needs `pip install gymnasium[classic-control]` for its pictures."""

    game = SPEC
    observation_space = observation_space(SPEC)
    action_space = action_space(SPEC)

    def __init__(self) -> None:
        self.env = gymnasium.make("CartPole-v1", render_mode="rgb_array")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.env.reset(seed=seed)
        return self._look(), {"task": "balance", "success": False}

    def step(self, action: dict[str, Any]) -> Any:
        _, reward, terminated, truncated, _ = self.env.step(int(action["right"]))
        info = {"task": "balance", "success": bool(truncated)}
        return self._look(), float(reward), bool(terminated), bool(truncated), info

    def close(self) -> None:
        self.env.close()

    def _look(self) -> dict[str, Any]:
        frame = cv2.resize(np.asarray(self.env.render()), (128, 72), interpolation=cv2.INTER_AREA)
        return {"frame": frame, "instruction": "keep the pole upright"}


async def demo() -> None:
    async with BridgeServer(RandomPolicy(), port=0) as server:
        print(await asyncio.to_thread(lambda: play(CartPole(), server.url, [Start(0)]).summary()))


if __name__ == "__main__":
    if "--demo" in sys.argv:
        asyncio.run(demo())
    else:
        print(play(CartPole(), "ws://127.0.0.1:8765/v1", [Start(n) for n in range(5)]).summary())

"""A Gymnasium environment attached as a game: rendered frames, and discrete actions as buttons.

iafm serve --policy random &
python examples/attach_gymnasium.py        # or --demo, which starts a server for a moment
"""

import asyncio
import sys

import gymnasium

from bridges.play import Start, play
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from games import Button, FrameSize, GameSpec
from games.gymnasium_game import GymnasiumGame

SPEC = GameSpec(
    id="cartpole-v0",
    title="Gymnasium's CartPole",
    frame=FrameSize(height=72, width=128),
    step_hz=20,
    controls=(Button(name="right", meaning="move.right", label="push right"),),
)


def cart_pole() -> GymnasiumGame:
    """CartPole; needs `pip install gymnasium[classic-control]` for its frames."""
    return GymnasiumGame(
        SPEC,
        gymnasium.make("CartPole-v1", render_mode="rgb_array"),
        actions={(): 0, ("right",): 1},
        tasks={"balance": ("keep the pole upright",)},
        judge=lambda rewards, over: len(rewards) >= 500 if over else None,
    )


async def demo() -> None:
    async with BridgeServer(RandomPolicy(), port=0) as server:
        print(await asyncio.to_thread(lambda: play(cart_pole(), server.url, [Start(0)]).summary()))


if __name__ == "__main__":
    if "--demo" in sys.argv:
        asyncio.run(demo())
    else:
        print(play(cart_pole(), "ws://127.0.0.1:8765/v1", [Start(n) for n in range(5)]).summary())

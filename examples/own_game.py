"""Attach a game of your own: a square on a line that wants to reach the middle.

iafm serve --policy random &
python examples/own_game.py                # or --demo to start a server of its own for a moment
"""

import asyncio
import sys

import numpy as np

from bridges.client import connect
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from games import Button, FrameSize, GameSpec

SPEC = GameSpec(
    id="line-v0",
    title="A square on a line",
    frame=FrameSize(height=24, width=48),
    step_hz=20,
    controls=(
        Button(name="west", meaning="move.left", label="go west"),
        Button(name="east", meaning="move.right", label="go east"),
    ),
    exclusive=(("west", "east"),),
)


def draw(place: int) -> np.ndarray:
    frame = np.zeros(SPEC.frame.shape, np.uint8)
    frame[8:16, place : place + 8] = (240, 200, 60)
    return frame


def play(url: str, steps: int) -> None:
    place = 2
    with connect(url, SPEC, instruction="go to the middle") as agent:
        for step in range(steps):
            act = agent.act(draw(place))
            place = min(40, max(0, place + act.action["east"] - act.action["west"]))
            if step % 10 == 0:
                print(f"step {step}: at {place}, next: {act.words}")
        agent.event(terminated=True, success=abs(place - 20) < 3)


async def demo() -> None:
    async with BridgeServer(RandomPolicy(), port=0) as server:
        await asyncio.to_thread(play, server.url, 30)


if __name__ == "__main__":
    if "--demo" in sys.argv:
        asyncio.run(demo())
    else:
        play("ws://127.0.0.1:8765/v1", 200)

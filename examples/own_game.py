"""A game attached by its client: a square on a line that is to reach the middle.

iafm serve --policy random &
python examples/own_game.py                # or --demo, which starts a server for a moment
"""

import asyncio
import sys

import numpy as np

from bridges.client import connect
from bridges.errors import AnswerError
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


def draw(x: int) -> np.ndarray:
    frame = np.zeros(SPEC.frame.shape, np.uint8)
    frame[8:16, x : x + 8] = (240, 200, 60)
    return frame


def report(state: str, detail: str) -> None:
    print(f"{state}: {detail}")  # also when the server is away, and when it is there again


def play(url: str, steps: int) -> None:
    x = 2
    with connect(url, SPEC, instruction="go to the middle", on_state=report) as agent:
        for step in range(steps):
            try:
                act = agent.act(draw(x))
            except AnswerError as error:  # this picture has no answer: press nothing, play on
                print(error)
                continue
            x = min(40, max(0, x + act.action["east"] - act.action["west"]))
            if step % 10 == 0:
                print(f"step {step}: at {x}, next: {act.words}")
        agent.event(terminated=True, success=abs(x - 20) < 3)


async def demo() -> None:
    async with BridgeServer(RandomPolicy(), port=0) as server:
        await asyncio.to_thread(play, server.url, 30)


if __name__ == "__main__":
    if "--demo" in sys.argv:
        asyncio.run(demo())
    else:
        play("ws://127.0.0.1:8765/v1", 200)

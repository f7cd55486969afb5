"""A small pygame game that an agent plays, a person takes over, and a server records: catch what falls.

iafm serve --policy none --record data/catch &
python examples/catch.py --record         # a window: you play with the arrow keys, and are recorded
iafm serve --checkpoint runs/catch/best --record data/corrected &
python examples/catch.py                  # the agent plays: arrow keys take over, Return hands back
python examples/catch.py --demo           # without a window, on a server of its own for a moment
"""

import asyncio
import os
import sys
from typing import Any, Protocol

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import numpy as np
import pygame

from bridges.client import BridgeClient, connect
from bridges.record_client import RecordClient, record
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from games import Action, Button, Frame, FrameSize, GameSpec

WIDTH, HEIGHT, FIELD, FLOOR = 96, 48, 60, 42
"""Pixels: of the picture, in whose middle the paddle always is; width of the field; where balls land."""
ROUNDS = 3
SPEED, FALL, REACH = 3, 1.5, 7
"""Pixels a step of the paddle and of a ball; how far from the paddle's middle a ball is caught."""
SPEC = GameSpec(
    id="catch-v0",
    title="Catch what falls",
    frame=FrameSize(height=HEIGHT, width=WIDTH),
    step_hz=20,
    controls=(
        Button(name="left", meaning="move.left", label="go left"),
        Button(name="right", meaning="move.right", label="go right"),
    ),
    exclusive=(("left", "right"),),
)


class Catch:
    """Three balls fall, one after the other; all are to be caught."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.paddle, self.round, self.caught = FIELD // 2, 0, 0
        self._drop()

    def _drop(self) -> None:
        self.ball, self.y = int(self._rng.integers(6, FIELD - 6)), 0.0

    @property
    def is_over(self) -> bool:
        return self.round == ROUNDS

    @property
    def success(self) -> bool:
        return self.caught == ROUNDS

    def step(self, action: Action) -> float:
        """Move paddle and ball; returns the reward."""
        self.paddle += SPEED * (action.get("right", 0) - action.get("left", 0))
        self.paddle = min(max(self.paddle, 8), FIELD - 8)
        self.y += FALL
        if self.y < FLOOR:
            return 0.0
        is_caught = abs(self.ball - self.paddle) <= REACH
        self.caught += is_caught
        self.round += 1
        self._drop()
        return float(is_caught)

    def draw(self) -> Frame:
        surface = pygame.Surface((WIDTH, HEIGHT))
        surface.fill((70, 60, 50))
        left = WIDTH // 2 - self.paddle
        pygame.draw.rect(surface, (20, 24, 30), (left, 0, FIELD, HEIGHT))
        pygame.draw.circle(surface, (240, 200, 60), (left + self.ball, int(self.y)), 4)
        pygame.draw.rect(surface, (230, 230, 230), (WIDTH // 2 - 8, FLOOR + 2, 16, 4))
        return np.ascontiguousarray(pygame.surfarray.array3d(surface).swapaxes(0, 1))


class Player(Protocol):
    """A person, beside the agent where there is one."""

    def press(self, game: Catch, agent: BridgeClient | None) -> Action | None:
        """What the person presses at this step; None leaves it to the agent."""
        ...


class Nobody:
    """The agent plays alone."""

    def press(self, game: Catch, agent: BridgeClient | None) -> Action | None:
        return None


def play(agent: BridgeClient, seed: int, person: Player) -> bool:
    """One episode over the wire; returns whether every ball was caught."""
    game = Catch(seed)
    report: dict[str, Any] = {}
    agent.instruct("catch every ball")
    while not game.is_over:
        decided = agent.act(game.draw(), **report).action
        pressed = person.press(game, agent)
        done = SPEC.normalize(decided if pressed is None else pressed)
        report = {"reward": game.step(done), "executed": done}
        if pressed is not None:
            report["input"] = pressed
    agent.event(terminated=True, success=game.success, task="catch", **report)
    return game.success


def play_recorded(recorder: RecordClient, seed: int, person: Player) -> bool:
    """One episode that the person plays alone, recorded over the wire; returns whether every ball was caught."""
    game = Catch(seed)
    while not game.is_over:
        frame, pressed = game.draw(), person.press(game, None) or {}
        recorder.step(frame, pressed, reward=game.step(SPEC.normalize(pressed)))
    recorder.end(success=game.success, task="catch")
    return game.success


class Keyboard:
    """A person at the window: arrow keys take over, Return hands back."""

    def __init__(self) -> None:
        self._window = pygame.display.set_mode((8 * WIDTH, 8 * HEIGHT))
        self._clock, self._owns = pygame.time.Clock(), False

    def press(self, game: Catch, agent: BridgeClient | None) -> Action | None:
        frame = pygame.surfarray.make_surface(game.draw().swapaxes(0, 1))
        pygame.transform.scale(frame, self._window.get_size(), self._window)
        pygame.display.set_caption("agent" if agent and not self._owns else "you play")
        pygame.display.flip()
        self._clock.tick(SPEC.step_hz)
        if pygame.event.get(pygame.QUIT):
            raise SystemExit
        keys = pygame.key.get_pressed()
        pressed = SPEC.normalize({"left": int(keys[pygame.K_LEFT] and not keys[pygame.K_RIGHT]),
                                  "right": int(keys[pygame.K_RIGHT] and not keys[pygame.K_LEFT])})  # fmt: skip
        if keys[pygame.K_RETURN] and self._owns and agent:
            self._owns = False
            agent.control("shared")
        self._owns = self._owns or any(pressed.values())
        return pressed if self._owns else None


def run(url: str, episodes: int, person: Player) -> None:
    with connect(url, SPEC, owner="shared") as agent:
        for seed in range(episodes):
            success = play(agent, seed, person)
            print(f"episode {seed}: {'caught all' if success else 'missed one'}")


def run_recorded(url: str, episodes: int, person: Player) -> None:
    with record(url, SPEC, instruction="catch every ball") as recorder:
        for seed in range(episodes):
            play_recorded(recorder, seed, person)
            print(f"episode {seed} is recorded")


async def demo() -> None:
    async with BridgeServer(RandomPolicy(), port=0) as server:
        await asyncio.to_thread(run, server.url, 2, Nobody())


if __name__ == "__main__":
    if "--demo" in sys.argv:
        asyncio.run(demo())
    elif "--record" in sys.argv:
        run_recorded("ws://127.0.0.1:8765/v1", 1000, Keyboard())
    else:
        run("ws://127.0.0.1:8765/v1", 1000, Keyboard())

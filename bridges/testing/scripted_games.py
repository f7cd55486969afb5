"""Scripted games: a server with a scripted player and games of one shade, for tests of the console."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from bridges.client import BridgeClient, connect
from bridges.errors import PolicyError
from bridges.listener import Listener
from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.testing.background_server import background_server
from games import Button, FrameSize, GameSpec

SHADES = {"Meadow": 40, "Tank": 120}
"""Brightness of the pictures of a game by its title."""


class Script:
    """Answers every picture with `decision`, and questions with `answer`."""

    name = "script"

    def __init__(self) -> None:
        self.decision = Decision(action={}, words="walk", probability=0.5, entropy=1.25)
        self.answer = "because"
        self.goals: dict[str, str] = {}
        """The newest instruction of each title."""

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        return RandomPolicy().attach(spec)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        self.goals |= {r.player.spec.title: r.instruction for r in requests}
        return [self.decision for _ in requests]

    def ask(self, player: PolicySession, question: str) -> str:
        if not self.answer:
            raise PolicyError("nothing to say")
        return f"{self.answer} {player.spec.title}"


class Game:
    """A game that sends pictures of one shade until it is stopped."""

    def __init__(self, url: str, title: str, **options: Any) -> None:
        spec = GameSpec(
            id="meadow-v0",
            title=title,
            frame=FrameSize(height=18, width=32),
            step_hz=20,
            controls=(Button(name="go", meaning="move.forward", label="walk forward"),),
        )
        self.client: BridgeClient = connect(url, spec, mode="realtime", **options)
        self.session = self.client.welcome.session
        self.report: dict[str, Any] = {}
        """What is sent with every picture."""
        self._frame = np.full(spec.frame.shape, SHADES.get(title, 200), np.uint8)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def _play(self) -> None:
        while not self._stopped.wait(0.02):
            self.client.send(self._frame, **self.report)

    def stop(self) -> None:
        """Leave, once the running step is over."""
        self._stopped.set()
        self._thread.join()
        self.client.close()


class Stage:
    """A server with scripted games."""

    def __init__(self, server: BridgeServer, policy: Script, end: ExitStack) -> None:
        self.server, self.policy, self._end = server, policy, end

    def attach(self, title: str = "Meadow", **options: Any) -> Game:
        game = Game(self.server.url, title, **options)
        self._end.callback(game.stop)
        return game

    def goal(self, title: str) -> str:
        return self.policy.goals.get(title, "")


@contextmanager
def staged(token: str | None = None, listeners: Iterable[Listener] = ()) -> Iterator[Stage]:
    policy = Script()
    running = background_server(policy, token=token, listeners=listeners)
    with running as server, ExitStack() as end:
        yield Stage(server, policy, end)

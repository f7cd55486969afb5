"""Memory clients: games, consoles and tools of a dispatcher, without a socket; and a policy that mirrors."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bridges.errors import PolicyError
from bridges.listener import Listener
from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.protocol.connection import Connection
from bridges.protocol.frames import Codec, pack
from bridges.protocol.messages import from_server
from bridges.serving.dispatcher import Dispatcher
from bridges.serving.limits import ServerLimits
from bridges.serving.peer import Peer
from bridges.serving.random_policy import RandomPolicy
from games import GameSpec
from games.voxel import SPEC

PIXELS = np.zeros((2, 3, 3), np.uint8)
LIMITS = replace(ServerLimits(), max_failures=3, watch_hz=1e9)
"""A failing game ends soon, and consoles get every picture."""


class MirrorPolicy:
    """Answers with the instruction it got; fails for "fail", waits for `gate` at "wait"."""

    name = "mirror"

    def __init__(self) -> None:
        self.gate, self.begun = threading.Event(), threading.Event()
        self.asked: list[str] = []
        self.executed: list[Any] = []
        """What the game did before each picture, as the policy heard it."""

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        if seed == 13:
            raise PolicyError("no luck")
        return RandomPolicy().attach(spec)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        self.begun.set()
        instructions = [request.instruction for request in requests]
        self.executed += [request.executed for request in requests]
        if "wait" in instructions:
            assert self.gate.wait(60)
        if "fail" in instructions:
            raise RuntimeError("a secret")
        return [Decision(action={}, words=words, probability=1) for words in instructions]

    def ask(self, player: PolicySession, question: str) -> str:
        self.asked.append(question)
        if question == "caption":
            raise PolicyError("nothing to see")
        if question == "next_action":
            raise RuntimeError("a secret")
        return "because"


class MemoryLink:
    """What was written to one peer."""

    def __init__(self) -> None:
        self.data: list[str | bytes] = []
        self.ended: tuple[int, str] | None = None

    def write(self, data: str | bytes) -> None:
        self.data.append(data)

    def end(self, code: int, reason: str) -> None:
        self.ended = (code, reason)


class MemoryClient:
    """A peer of the dispatcher, and what it hears."""

    def __init__(self, bridge: Dispatcher, limits: ServerLimits = LIMITS) -> None:
        self.bridge, self.wire = bridge, MemoryLink()
        self.peer = Peer(Connection(limits, token=None, now=0), self.wire)
        self.now = 0.0
        """When its next messages come, in seconds."""

    async def send(self, data: dict[str, Any] | bytes) -> None:
        text = data if isinstance(data, bytes) else json.dumps(data)
        for message in self.peer.connection.receive(text, self.now):
            await self.bridge.receive(self.peer, message, self.now)
        self.peer.flush()

    async def picture(
        self, number: int, frame: Any = PIXELS, codec: Codec = Codec.RGB, **report: Any
    ) -> None:
        meta = json.dumps(report).encode() if report else b""
        await self.send(pack(frame, number, 0, codec, meta=meta))

    @property
    def messages(self) -> list[Any]:
        return [from_server(data) for data in self.wire.data if isinstance(data, str)]

    async def hears(self, kind: type, count: int = 1) -> list[Any]:
        """Wait for messages of a kind."""
        async with asyncio.timeout(60):
            while len(heard := [m for m in self.messages if isinstance(m, kind)]) < count:
                await asyncio.sleep(0)
        return heard

    @property
    def session(self) -> str:
        assert self.peer.session is not None
        return self.peer.session.name


def run_dispatcher(
    play: Callable[[Dispatcher], Awaitable[None]],
    policy: Any = None,
    limits: ServerLimits = LIMITS,
    listeners: Iterable[Listener] = (),
) -> None:
    """Run `play` beside a dispatcher that answers."""

    async def run() -> None:
        bridge = Dispatcher(policy or MirrorPolicy(), limits, listeners)
        bridge.start()
        try:
            await play(bridge)
        finally:
            bridge.close()

    asyncio.run(run())


async def attach_game(bridge: Dispatcher, instruction: str = "go", **hello: Any) -> MemoryClient:
    client = MemoryClient(bridge)
    spec = SPEC.model_dump(mode="json")
    await client.send({"type": "hello", "spec": spec, "instruction": instruction, **hello})
    return client


async def open_console(bridge: Dispatcher, role: str = "watch") -> MemoryClient:
    client = MemoryClient(bridge)
    await client.send({"type": "hello", "role": role})
    return client

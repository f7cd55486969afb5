"""Load test: the age of actions when many realtime games share one policy of known latency."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from websockets.asyncio.client import connect

from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.protocol import frames
from bridges.protocol.messages import MAX_TEXT, Act, Hello, from_server
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from games import FrameSize, GameSpec
from games.controls import Button


@dataclass(frozen=True)
class LoadReport:
    """Ages in milliseconds from sending an observation to receiving its answer, over all clients."""

    clients: int
    answered: int
    dropped: int
    age_ms_p50: float
    age_ms_p95: float
    actions_per_s: float
    """Per client, counting all answers to the frames of the `seconds`."""
    batch: float
    """Observations answered in one pass, on average over actions."""


class StubPolicy:
    """Does nothing; takes `seconds` per batch, whatever its size."""

    name = "stub"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        return RandomPolicy().attach(spec, seed=seed)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        time.sleep(self._seconds)
        return [
            Decision(action=r.player.spec.null_action(), words="nothing", probability=1.0)
            for r in requests
        ]

    def ask(self, player: PolicySession, question: str) -> str:
        return "nothing"


def batching_load(
    policy_ms: float = 40.0,
    clients: int = 8,
    hz: float = 20.0,
    seconds: float = 5.0,
    height: int = 72,
    width: int = 128,
) -> LoadReport:
    """Load one server on loopback with realtime clients, all in this process; blocks for about `seconds`."""
    spec = GameSpec(
        id="load-v0",
        title="Load",
        frame=FrameSize(height=height, width=width),
        step_hz=hz,
        controls=(Button(name="go"),),
    )
    return asyncio.run(_load(spec, policy_ms / 1000, clients, seconds))


async def _load(spec: GameSpec, policy_s: float, clients: int, seconds: float) -> LoadReport:
    async with BridgeServer(StubPolicy(policy_s), port=0) as server:
        offsets = [n / clients / spec.step_hz for n in range(clients)]
        games = [_game(server.url, spec, offset, seconds) for offset in offsets]
        results = await asyncio.gather(*games)
    ages = np.array([age for acts in results for age, _ in acts] or [0.0])
    answered = [act for acts in results for _, act in acts]
    p50, p95 = np.percentile(ages, [50, 95])
    return LoadReport(
        clients=clients,
        answered=len(answered),
        dropped=sum(acts[-1][1].dropped for acts in results if acts),
        age_ms_p50=round(float(p50), 1),
        age_ms_p95=round(float(p95), 1),
        actions_per_s=round(len(answered) / clients / seconds, 2),
        batch=round(float(np.mean([act.latency.batch for act in answered] or [0])), 2),
    )


async def _game(url: str, spec: GameSpec, offset: float, seconds: float) -> list[tuple[float, Act]]:
    """One client that sends a frame every 1/step_hz; returns (age in ms, answer) up to the last frame's."""
    sent: dict[int, float] = {}
    acts: list[tuple[float, Act]] = []
    frame = np.zeros(spec.frame.shape, np.uint8)
    async with connect(url, compression=None, max_size=MAX_TEXT, proxy=None) as connection:
        await connection.send(Hello(spec=spec, mode="realtime").model_dump_json())
        await connection.recv()

        async def receive(last: int) -> None:
            async for data in connection:
                message = from_server(data) if isinstance(data, str) else None
                if isinstance(message, Act):
                    acts.append((1000 * (time.monotonic() - sent[message.observation]), message))
                    if message.observation == last:
                        return

        steps = max(1, int(seconds * spec.step_hz))
        receiving = asyncio.create_task(receive(steps - 1))
        started = time.monotonic() + offset
        for number in range(steps):
            await asyncio.sleep(started + number / spec.step_hz - time.monotonic())
            sent[number] = time.monotonic()
            await connection.send(frames.pack(frame, number, time.monotonic_ns()))
        await receiving  # the newest frame is always answered
    return acts

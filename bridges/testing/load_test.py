"""Load test: games that share one server, as clients of their own, and the age of their actions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from bridges.protocol import frames
from bridges.protocol.messages import MAX_MESSAGE, Act, Hello, from_server
from games import FrameSize, GameSpec
from games.controls import Button, Camera

WIRE: dict[str, Any] = {"compression": None, "max_size": MAX_MESSAGE, "proxy": None}
"""Options of a client's connection."""


@dataclass(frozen=True)
class LoadPlan:
    """Games at `hz` for `seconds`; a picture is JPEG, (height, width) in pixels."""

    clients: int = 8
    hz: float = 20.0
    seconds: float = 20.0
    height: int = 224
    width: int = 224
    lockstep: bool = False
    """Ask that every picture is answered, without waiting for the answers."""
    token: str | None = None

    @property
    def spec(self) -> GameSpec:
        bins = tuple(float(turn) for turn in range(-10, 11))
        return GameSpec(
            id="load-v0",
            title="Load",
            frame=FrameSize(height=self.height, width=self.width),
            step_hz=self.hz,
            controls=(
                Button(name="go", meaning="move.forward"),
                Camera(name="look", meaning="look", pitch_bins=bins, yaw_bins=bins),
            ),
        )

    @property
    def hello(self) -> str:
        mode = "lockstep" if self.lockstep else "realtime"
        return Hello(spec=self.spec, mode=mode, token=self.token).model_dump_json()

    def packed(self) -> bytes:
        """A picture of blocks of random colors as a message: about 9 KB of JPEG at 224 x 224."""
        rng = np.random.default_rng(0)
        blocks = rng.integers(0, 256, (self.height // 8 + 1, self.width // 8 + 1, 3), np.uint8)
        pixels = blocks.repeat(8, 0).repeat(8, 1)[: self.height, : self.width]
        return frames.pack(pixels, 0, 0, frames.Codec.JPEG)


@dataclass
class GameLog:
    """What one game saw: pictures sent, and of each answer its age, the server's part of it, and its batch."""

    sent: int = 0
    ages_ms: list[float] = field(default_factory=list)
    """From before sending a picture to its answer."""
    server_ms: list[float] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    dropped: int = 0

    def add(self, act: Act, age_s: float) -> None:
        self.ages_ms.append(1000 * age_s)
        self.server_ms.append(act.latency.age_ms)
        self.batches.append(act.latency.batch)
        self.dropped = act.dropped


def play_games(url: str, plan: LoadPlan) -> list[GameLog]:
    """Play in this process; blocks for about `seconds`. Answers after the last picture's step are not counted."""
    return asyncio.run(_play_games(url, plan))


async def _play_games(url: str, plan: LoadPlan) -> list[GameLog]:
    """All attach before the first picture; their steps are spread over the time of one."""
    logs = [GameLog() for _ in range(plan.clients)]
    async with AsyncExitStack() as stack:
        games = [await stack.enter_async_context(connect(url, **WIRE)) for _ in logs]
        for game in games:
            await game.send(plan.hello)
        for game in games:
            await game.recv()
        started = time.monotonic() + 0.05
        starts = [started + n / plan.clients / plan.hz for n in range(plan.clients)]
        await asyncio.gather(
            *(_play(*game, plan) for game in zip(games, logs, starts, strict=True))
        )
    return logs


async def _play(game: ClientConnection, log: GameLog, start: float, plan: LoadPlan) -> None:
    """Send a picture at each step, whatever comes back."""
    sent: dict[int, float] = {}
    receiving = asyncio.create_task(_receive(game, log, sent))
    data = plan.packed()
    for number in range(max(1, round(plan.seconds * plan.hz))):
        await asyncio.sleep(start + number / plan.hz - time.monotonic())
        sent[number] = time.monotonic()
        await game.send(numbered(data, number))
        log.sent += 1
    await asyncio.sleep(start + plan.seconds - time.monotonic())
    receiving.cancel()
    await asyncio.wait([receiving])
    if not receiving.cancelled() and (error := receiving.exception()) is not None:
        raise error


async def _receive(game: ClientConnection, log: GameLog, sent: dict[int, float]) -> None:
    async for data in game:
        at = time.monotonic()
        message = from_server(data) if isinstance(data, str) else None
        if isinstance(message, Act):
            log.add(message, at - sent[message.observation])


def numbered(picture: bytes, number: int) -> bytes:
    """A packed picture with another observation number."""
    return picture[:12] + number.to_bytes(4, "little") + picture[16:]


def play_flat_out(url: str, plan: LoadPlan) -> float:
    """Answers a second of one game that sends its next picture when the answer has come; blocks for `seconds`."""
    return asyncio.run(_play_flat_out(url, plan))


async def _play_flat_out(url: str, plan: LoadPlan) -> float:
    data = plan.packed()
    async with connect(url, **WIRE) as game:
        await game.send(plan.hello)
        await game.recv()
        answers, started = 0, time.monotonic()
        while (elapsed_s := time.monotonic() - started) < plan.seconds:
            await game.send(numbered(data, answers))
            await game.recv()
            answers += 1
    return answers / elapsed_s


def watch_games(url: str, watchers: int, seconds: float) -> int:
    """Consoles that read everything for `seconds`; returns the pictures that they got."""
    return asyncio.run(_watch_games(url, watchers, seconds))


async def _watch_games(url: str, watchers: int, seconds: float) -> int:
    hello = Hello(role="watch").model_dump_json()

    async def watch() -> int:
        pictures = 0
        async with connect(url, **WIRE) as console:
            await console.send(hello)
            try:
                async with asyncio.timeout(seconds):
                    async for data in console:
                        pictures += isinstance(data, bytes)
            except TimeoutError:
                pass
        return pictures

    return sum(await asyncio.gather(*(watch() for _ in range(watchers))))


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile, rounded to 0.01; 0 of no values."""
    return round(float(np.percentile(values, percent)), 2) if values else 0.0


def summary(logs: Sequence[GameLog], seconds: float) -> dict[str, Any]:
    """Ages over all games, and actions a second of the slowest and of the one in the middle."""
    ages = [age for log in logs for age in log.ages_ms]
    server = [age for log in logs for age in log.server_ms]
    rates = [len(log.ages_ms) / seconds for log in logs]
    return {
        "p95_age_ms": percentile(ages, 95),
        "actions_per_s_min": round(min(rates), 2),
        "actions_per_s_median": percentile(rates, 50),
        "answered": len(ages),
        "sent": sum(log.sent for log in logs),
        "batch": round(float(np.mean([n for log in logs for n in log.batches] or [0])), 2),
        "round_trip_ms": {"p50": percentile(ages, 50), "p99": percentile(ages, 99)},
        "server_ms": {"p50": percentile(server, 50), "p99": percentile(server, 99)},
    }

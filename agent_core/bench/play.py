"""Benchmarks of play over the wire and of the environment; each function returns plain numbers."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from agent_core.agent import Agent
from bridges.play import Start, play
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from games.registry import make
from games.voxel import TASKS, VoxelEnv

BENCH_SEED = 3_000_000_000


def machine() -> dict[str, Any]:
    """Processor, cores and versions that figures were measured with."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def bench_play(
    checkpoint: Path, seconds: float, threads: int, pace_hz: float | None = None
) -> dict[str, Any]:
    """The agent plays voxel-v0 over the websocket; server, model and game share `threads` cores."""
    pinned = pin(threads)
    agent = Agent.load(checkpoint, threads=threads)
    try:
        return asyncio.run(_bench_play(agent, seconds, pace_hz))
    finally:
        unpin(pinned)


async def _bench_play(agent: Agent, seconds: float, pace_hz: float | None) -> dict[str, Any]:
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    async with BridgeServer(agent, port=0) as server:
        game = context.Process(target=_play, args=(server.url, seconds, pace_hz, writer))
        game.start()
        writer.close()
        report: dict[str, Any] = await asyncio.to_thread(reader.recv)
        await asyncio.to_thread(game.join)
    return {name: report[name] for name in ("hz", "age_ms", "infer_ms", "dropped")}


def _play(url: str, seconds: float, pace_hz: float | None, pipe: Any) -> None:
    """The game's process; it inherits the pinning."""
    started: list[float] = []
    """When the first action came; the time before it is not measured."""

    def stop(report: Any) -> bool:
        if report.first_action_s is not None and not started:
            started.append(time.monotonic())
        return bool(started) and time.monotonic() - started[0] > seconds

    tasks = list(TASKS)
    starts = (Start(BENCH_SEED + n, {"task": tasks[n % len(tasks)]}) for n in range(10_000))
    mode = "lockstep" if pace_hz is None else "realtime"
    pipe.send(play(VoxelEnv(), url, starts, mode=mode, pace_hz=pace_hz, stop=stop).summary())


def bench_env(seconds: float = 5.0, game: str = "voxel") -> dict[str, Any]:
    """Steps per second of a game with rendering, on one core, under random play; `cpu_ms` are those of a step."""
    pinned = pin(1)
    env = make(game)
    player = RandomPolicy().attach(env.game, seed=0)
    steps, seed = 0, BENCH_SEED
    env.reset(seed=seed)
    started, cpu_started = time.monotonic(), time.process_time()
    while (elapsed_s := time.monotonic() - started) < seconds:
        _, _, terminated, truncated, _ = env.step(player.next())
        steps += 1
        if terminated or truncated or steps % 300 == 0:
            seed += 1
            env.reset(seed=seed)
    cpu_s = time.process_time() - cpu_started
    env.close()
    unpin(pinned)
    return {
        "game": game,
        "steps_per_s": round(steps / elapsed_s, 1),
        "cpu_ms": round(1000 * cpu_s / steps, 3),
    }


def pin(cores: int) -> set[int] | None:
    """Pin this process and its children to the first `cores` cores; returns the affinity to restore."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:cores]))
    return before


def unpin(cores: set[int] | None) -> None:
    """Restore what `pin` returned."""
    if cores is not None:
        os.sched_setaffinity(0, cores)

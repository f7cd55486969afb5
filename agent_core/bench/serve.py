"""Benchmark of serving: many games on one server, beside a queue that answers everything in order."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

from bridges.testing.load_test import (
    LoadPlan,
    play_flat_out,
    play_games,
    summary,
    watch_games,
)
from bridges.testing.server_process import ServerOptions, server_process

ROUNDS = 2
"""Measurements with and without consoles, in turn."""


def bench_serve(plan: LoadPlan, model_ms: float, watchers: int = 0) -> dict[str, Any]:
    """Figures of the server (`newest`) and of a first-in first-out queue (`fifo`); with consoles also `watched`.

    Server, games and consoles are processes of their own. `fifo` is the same server, but every picture waits and a
    pass answers the oldest one alone. `watched` is one 1280 x 720 game that sends flat out to a model without latency.
    """
    report: dict[str, Any] = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for name in ("newest", "fifo"):
            is_fifo = name == "fifo"
            with server_process(ServerOptions(model_ms, fifo=is_fifo)) as server:
                games = replace(plan, lockstep=is_fifo)
                logs = pool.submit(play_games, server.url, games).result()
            report[name] = summary(logs, plan.seconds)
        report["clients"] = plan.clients
        if watchers:
            report["watched"] = _bench_watchers(pool, plan.seconds / 2 / ROUNDS, watchers)
    return report


def _bench_watchers(pool: ProcessPoolExecutor, seconds: float, watchers: int) -> dict[str, Any]:
    """Answers a second of one game alone, and with consoles that watch it; for so many seconds in each round."""
    game = LoadPlan(clients=1, seconds=seconds, height=720, width=1280, lockstep=True)
    alone = watched = 0.0
    pictures = 0
    with server_process(ServerOptions(0)) as server:
        for _ in range(ROUNDS):
            alone += pool.submit(play_flat_out, server.url, game).result()
            consoles = pool.submit(watch_games, server.url, watchers, seconds + 0.5)
            watched += pool.submit(play_flat_out, server.url, game).result()
            pictures += consoles.result()
    return {
        "watchers": watchers,
        "alone_actions_per_s": round(alone / ROUNDS, 2),
        "actions_per_s": round(watched / ROUNDS, 2),
        "pictures": pictures,
    }

"""Benchmark of hostile peers: an honest game alone, then beside peers of every hostile kind at once."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bridges.testing.frame_fuzz import fuzz
from bridges.testing.hostile import attack
from bridges.testing.load_test import GameLog, LoadPlan, percentile, play_games
from bridges.testing.server_process import ServerOptions, server_process

TOKEN = "a token for the benchmark"
FRAMES_PER_S = 1000
"""Random and mutated frames for each second of the benchmark, in a process of their own before it."""
SETTLE_S = 12.0
"""Time for the server to be done with its last peers, before its memory is read."""


def bench_hostile(
    seconds: float, model_ms: float, seed: int, log: Path | None = None
) -> dict[str, Any]:
    """One game at 20 Hz, undisturbed for a quarter of the time and then beside all of `bridges.testing.hostile`.

    `rss_growth_mb` is the server's memory after its last peer has left, less that before the first hostile one;
    `rss_peak_mb` is the largest growth. `frames` are random and mutated frames: those given to the connection's state
    machine and decoder alone, which must raise nothing, and those sent.
    """
    quiet_s = seconds / 4
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        fuzzed = pool.submit(fuzz, round(FRAMES_PER_S * seconds), seed).result()
        with server_process(ServerOptions(model_ms, token=TOKEN), log) as server:
            quiet = pool.submit(play_games, server.url, _honest(quiet_s)).result()[0]
            before = peak = server.rss_mb()
            playing = pool.submit(play_games, server.url, _honest(seconds - quiet_s))
            attacking = pool.submit(_attack_politely, server.url, seconds - quiet_s, seed)
            while not (playing.done() and attacking.done()):
                time.sleep(0.1)
                peak = max(peak, server.rss_mb())
            honest, hostile = playing.result()[0], attacking.result()
            time.sleep(min(SETTLE_S, seconds / 4))
            after, tracebacks = server.rss_mb(), server.tracebacks()
    return {
        "honest": _figures(honest, quiet),
        "tracebacks": tracebacks + fuzzed["exceptions"],
        "rss_growth_mb": round(after - before, 1),
        "rss_peak_mb": round(peak - before, 1),
        "frames": fuzzed["frames"] + hostile["frames"],
        "visits": hostile["visits"],
    }


def _honest(seconds: float) -> LoadPlan:
    return LoadPlan(clients=1, hz=20, seconds=seconds, token=TOKEN)


def _attack_politely(url: str, seconds: float, seed: int) -> dict[str, Any]:
    """At a low priority: these peers would be other machines, which take no processor time from the server's."""
    os.nice(10)
    return attack(url, TOKEN, seconds, seed)


def _figures(honest: GameLog, quiet: GameLog) -> dict[str, float]:
    return {
        "answered_share": round(len(honest.ages_ms) / honest.sent, 4),
        "p95_age_ms": percentile(honest.ages_ms, 95),
        "undisturbed_p95_age_ms": percentile(quiet.ages_ms, 95),
    }

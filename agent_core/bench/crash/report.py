"""Crash report: kills by victim and scenarios, and what each of them lost."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from agent_core.bench.crash.imports import import_cases
from agent_core.bench.crash.kills import VICTIMS, Round, kill_round
from agent_core.bench.crash.scenarios import (
    Case,
    disk_cases,
    encoder_cases,
    signal_cases,
    stop_cases,
)

SCENARIOS = ("kill", "disk", "sigstop", "encoder", "signal", "import")
FRAMES_MAY_BE_LOST = 1
SEED_MAX = 1_000_000
"""Drawn seeds are below this."""


def bench_crash(
    kills: int,
    seed: int | None = None,
    scenarios: Sequence[str] = SCENARIOS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Run the rounds and scenarios; `failed` names what lost more than it may.

    Round k has the seed `seed + k`: `--scenarios kill --kills 1 --seed SEED` repeats one.
    """
    seed = secrets.randbelow(SEED_MAX) if seed is None else seed
    seeds = range(seed, seed + kills) if "kill" in scenarios else range(0)
    cases = {
        f"{name}: {case}": run for name in scenarios for case, run in _cases(name, seed).items()
    }
    total = len(seeds) + len(cases)
    rounds: list[Round] = []
    for number in seeds:
        rounds.append(kill_round(number))
        progress(len(rounds), total)
    problems = {}
    for done, (name, run) in enumerate(cases.items(), len(rounds) + 1):
        problems[name] = _problems(run)
        progress(done, total)
    return _report(seed, rounds, problems)


def _cases(scenario: str, seed: int) -> dict[str, Case]:
    match scenario:
        case "disk":
            return disk_cases()
        case "sigstop":
            return stop_cases()
        case "encoder":
            return encoder_cases()
        case "signal":
            return signal_cases()
        case "import":
            return import_cases(seed)
    return {}


def _problems(run: Case) -> list[str]:
    try:
        return run()
    except TimeoutError as error:
        return [str(error)]


def _report(seed: int, rounds: list[Round], problems: dict[str, list[str]]) -> dict[str, Any]:
    victims = {v: [r for r in rounds if r.victim == v] for v in VICTIMS}
    failed = [_failure(r) for r in rounds if not r.losses.none_beyond(FRAMES_MAY_BE_LOST)]
    failed += [f"{name}: {'; '.join(lines)}" for name, lines in problems.items() if lines]
    return {
        **_totals(rounds),
        "victims": {name: _totals(hit) for name, hit in victims.items() if hit},
        "scenarios": len(problems),
        "seed": seed,
        "failed": failed,
    }


def _totals(rounds: list[Round]) -> dict[str, int]:
    return {
        "kills": len(rounds),
        "frames_lost_max": max((r.losses.frames for r in rounds), default=0),
        "events_lost": sum(r.losses.events for r in rounds),
        "texts_lost": sum(r.losses.texts for r in rounds),
        "episodes_lost": sum(r.losses.episodes for r in rounds),
        "wrong": sum(len(r.losses.wrong) for r in rounds),
        "steps": sum(r.accepted for r in rounds),
        "queued_max": max((r.queued for r in rounds), default=0),
    }


def _failure(hit: Round) -> str:
    return f"kill of {hit.victim}, --seed {hit.seed}: {asdict(hit.losses)}"

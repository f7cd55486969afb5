"""Kills: a game records, kill -9 hits it or its recording process or both, and what is recovered is compared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent_core.bench.crash.comparison import Losses, losses, read_log
from agent_core.bench.crash.game import Plan
from recorder import CaptureError
from recorder.capture.recover import is_being_written
from recorder.format.manifest import MANIFEST, read_manifest

VICTIMS = ("game", "recording process", "both", "writer")
"""The last is a game that writes its capture itself, with `CaptureWriter`."""
PLAY_S = 2.0
"""A kill comes within this time after the first step that was accepted."""
EARLY_PROB, SHORT_PROB, STOPPED_PROB = 0.15, 0.3, 0.3
"""Chances that a kill does not wait for a first step; that the game ends by itself, so that a kill may meet its end;
that the recording process is stopped some time before, so that steps wait in its queue."""
SHORT_STEPS = 30
WAIT_S = 60.0


@dataclass(frozen=True)
class Round:
    """One round: what was killed, how many steps had been accepted, the longest queue at one, and what was lost."""

    seed: int
    victim: str
    accepted: int
    queued: int
    losses: Losses


def kill_round(seed: int) -> Round:
    """Play, kill, recover and compare, all decided by the seed; victims take turns."""
    rng = np.random.default_rng(seed)
    victim = VICTIMS[seed % len(VICTIMS)]
    with tempfile.TemporaryDirectory(prefix="iafm-crash-", ignore_cleanup_errors=True) as folder:
        plan = Plan(
            out=f"{folder}/out", log=f"{folder}/log", seed=seed,
            recorder="writer" if victim == "writer" else "live",
            clock="lockstep" if rng.random() < 0.5 else "wallclock",
            steps=int(rng.integers(1, SHORT_STEPS)) if rng.random() < SHORT_PROB else 10_000,
        )  # fmt: skip
        is_early, delay = rng.random() < EARLY_PROB, float(rng.uniform(0, PLAY_S))
        is_stopped = rng.random() < STOPPED_PROB and plan.recorder == "live"
        game = start(plan)
        try:
            if not is_early:
                wait_for(lambda: accepted(Path(plan.log)) or game.poll() is not None)
            stopped = is_stopped and _signal(writer_of(Path(plan.out)), signal.SIGSTOP)
            time.sleep(delay)
            _kill(victim, game, Path(plan.out))
            if stopped:
                _signal(writer_of(Path(plan.out)), signal.SIGCONT)
            if victim == "recording process":  # the game goes on in a new capture
                time.sleep(delay)
                game.terminate()
        finally:
            end(game, Path(plan.out))
        recover_command(Path(plan.out))
        log = read_log(Path(plan.log))
        queued = max((row["queued"] for row in log if "step" in row), default=0)
        return Round(seed, victim, accepted(Path(plan.log)), queued, losses(Path(plan.out), log))


def start(plan: Plan) -> subprocess.Popen[bytes]:
    """Start the game in a process group of its own."""
    return subprocess.Popen(plan.command(), start_new_session=True, stderr=subprocess.DEVNULL)


def accepted(log: Path) -> int:
    """Steps that a game's log has."""
    return sum("step" in row for row in read_log(log))


def writer_of(out: Path) -> int:
    """The process that writes the newest open capture under `out`; 0 where there is none."""
    for manifest in sorted(out.glob(f"*/{MANIFEST}"), reverse=True):
        try:
            found = read_manifest(manifest.parent)
        except CaptureError:
            continue
        if found.status == "recording" and is_being_written(found):
            return found.writer
    return 0


def end(game: subprocess.Popen[bytes], out: Path) -> None:
    """Wait for the game and its recording process to end; the game is killed where it does not end by itself."""
    try:
        game.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(game.pid, signal.SIGKILL)
        game.wait()
    wait_for(lambda: not writer_of(out))


def recover_command(out: Path) -> None:
    """`iafm episodes recover`, as a user runs it."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "agent_core", "episodes", "recover", str(out), "--json"]
    subprocess.run(command, check=True, capture_output=True)


def wait_for(happened: Callable[[], object], seconds: float = WAIT_S) -> None:
    """Look until something has happened; raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened for {seconds:.0f} s")
        time.sleep(0.005)


def _kill(victim: str, game: subprocess.Popen[bytes], out: Path) -> None:
    if victim == "both":
        with suppress(ProcessLookupError):  # it had ended by itself
            os.killpg(game.pid, signal.SIGKILL)
    elif victim == "recording process":
        _signal(writer_of(out), signal.SIGKILL)
    else:
        game.kill()


def _signal(process: int, number: signal.Signals) -> bool:
    """Send a signal; False where there is no such process (0)."""
    try:
        if process:
            os.kill(process, number)
    except ProcessLookupError:
        return False
    return bool(process)

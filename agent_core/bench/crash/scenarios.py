"""Scenarios of the crash benchmark beside kills: full disks, stopped processes, a failing encoder, signals.

Each case is a function that returns what went wrong, a line each.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from agent_core.bench.crash.comparison import losses, read_log
from agent_core.bench.crash.game import Plan
from agent_core.bench.crash.kills import (
    accepted,
    end,
    recover_command,
    start,
    wait_for,
    writer_of,
)
from recorder.capture.live import QUEUE

Case = Callable[[], list[str]]
FILE_LIMIT = 30_000
"""Bytes of the largest file: the video's limit is met after some dozens of steps."""
FULL_STEPS = 10_000


def disk_cases() -> dict[str, Case]:
    """A limit on the size of files, and a small file system that fills up where one can be mounted (as root)."""
    cases: dict[str, Case] = {
        "file limit, writer": _file_limit_writer,
        "file limit, recording process": _file_limit_live,
    }
    if os.geteuid() == 0 and shutil.which("mount"):
        for room in (20, 100, 300, 1000):
            cases[f"{room} kB free, writer"] = partial(_full_disk, "writer", room)
            cases[f"{room} kB free, live"] = partial(_full_disk, "live", room)
    return cases


def stop_cases() -> dict[str, Case]:
    """SIGSTOP of the recording process, then SIGCONT."""
    return {clock: partial(_stopped, clock) for clock in ("wallclock", "lockstep")}


def encoder_cases() -> dict[str, Case]:
    """The recording process gets no more memory."""
    return {"no memory": _no_memory}


def signal_cases() -> dict[str, Case]:
    """Ctrl-C and SIGTERM, to the game or, as a terminal and a service manager do, to the process group."""
    return {
        f"{number.name} to {'the group' if group else 'the game'}": partial(
            _signalled, number, group
        )
        for number in (signal.SIGINT, signal.SIGTERM)
        for group in (False, True)
    }


def _file_limit_writer() -> list[str]:
    with _game(recorder="writer", file_limit=FILE_LIMIT, step_hz=1000) as (plan, game):
        end(game, Path(plan.out))
        return _expect_full(plan, game)


def _file_limit_live() -> list[str]:
    import resource

    with _game(step_hz=200) as (plan, game):
        wait_for(lambda: accepted(Path(plan.log)))
        limit = (FILE_LIMIT, FILE_LIMIT)
        resource.prlimit(writer_of(Path(plan.out)), resource.RLIMIT_FSIZE, limit)
        end(game, Path(plan.out))
        return _expect_full(plan, game)


def _full_disk(recorder: str, room: int) -> list[str]:
    """A file system with so many kB left; the rest is freed before `recover`."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "iafm-crash", folder]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            return []
        try:
            ballast = Path(folder) / "ballast"
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, (8 << 20) - (room << 10))
            with _game(recorder=recorder, out=f"{folder}/out", step_hz=1000) as (plan, game):
                end(game, Path(plan.out))
                ballast.unlink()
                return _expect_full(plan, game)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _expect_full(plan: Plan, game: subprocess.Popen[bytes]) -> list[str]:
    problems = _losses(plan)
    if game.returncode != 3 or not any("full" in row for row in read_log(Path(plan.log))):
        problems.append(f"the game did not hear that the disk is full (exit {game.returncode})")
    return problems


def _stopped(clock: str) -> list[str]:
    """The recording process is stopped until its queue is full: a wallclock game plays on, a lockstep one waits."""
    problems = []
    with _game(clock=clock, step_hz=100, steps=4 * QUEUE) as (plan, game):
        log, out = Path(plan.log), Path(plan.out)
        wait_for(lambda: accepted(log))
        writer = writer_of(out)
        os.kill(writer, signal.SIGSTOP)
        try:
            if clock == "wallclock":
                wait_for(lambda: accepted(log) >= 3 * QUEUE)
            else:
                wait_for(lambda: any(row.get("queued") == QUEUE for row in read_log(log)))
        finally:
            os.kill(writer, signal.SIGCONT)
        end(game, out)
        rows = [row for row in read_log(log) if "step" in row]
        dropped = rows[-1]["dropped"]
        if (clock == "wallclock") != (dropped > 0) or game.returncode:
            problems.append(f"{dropped} steps dropped, exit {game.returncode}")
        return problems + _losses(plan)


def _no_memory() -> list[str]:
    """The encoder gets no more memory: it fails, what was written stays, and the game hears of it."""
    import resource

    with _game(step_hz=100, scale=12, restarts=False) as (plan, game):
        log, out = Path(plan.log), Path(plan.out)
        wait_for(lambda: accepted(log) > 10)
        writer = writer_of(out)
        os.kill(writer, signal.SIGSTOP)
        wait_for(lambda: accepted(log) > QUEUE)  # then its quality is lowered: by another encoder
        resource.prlimit(writer, resource.RLIMIT_AS, (1 << 20, 1 << 20))
        os.kill(writer, signal.SIGCONT)
        end(game, out)
        problems = _losses(plan)
        if game.returncode != 4:
            problems.append(f"the game did not hear that the encoder failed ({game.returncode})")
        return problems


def _signalled(number: signal.Signals, group: bool) -> list[str]:
    with _game() as (plan, game):
        wait_for(lambda: accepted(Path(plan.log)) > 5)
        if group:
            os.killpg(game.pid, number)
        else:
            game.send_signal(number)
        end(game, Path(plan.out))
        return _losses(plan)


@contextmanager
def _game(**plan: Any) -> Iterator[tuple[Plan, subprocess.Popen[bytes]]]:
    with tempfile.TemporaryDirectory(prefix="iafm-crash-", ignore_cleanup_errors=True) as folder:
        settings = {"out": f"{folder}/out", "log": f"{folder}/log", "seed": 0, "steps": FULL_STEPS}
        whole = Plan(**{**settings, **plan})
        game = start(whole)
        try:
            yield whole, game
        finally:
            if game.poll() is None:
                os.killpg(game.pid, signal.SIGKILL)
            game.wait()


def _losses(plan: Plan) -> list[str]:
    """What was lost and is wrong after `recover`, in words."""
    recover_command(Path(plan.out))
    lost = losses(Path(plan.out), read_log(Path(plan.log)))
    counts = {
        "frames": lost.frames,
        "events": lost.events,
        "texts": lost.texts,
        "episodes": lost.episodes,
    }
    return [f"{count} {name} lost" for name, count in counts.items() if count] + lost.wrong

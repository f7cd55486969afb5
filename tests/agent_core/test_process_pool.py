"""Tests of the process pool."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PARENT = """
import os, time
from agent_core.process_pool import pool
if __name__ == "__main__":
    with pool(2) as processes:
        print(*{f.result() for f in [processes.submit(os.getpid) for _ in range(2)]}, flush=True)
        time.sleep(60)
"""


JOBS = """
import os, signal, sys, time
from pathlib import Path
from agent_core.errors import WorkerLostError
from agent_core.process_pool import run_jobs

def run(folder, name):
    try:
        if name.startswith("killed"):
            with open(folder / name, "a") as lives:
                lives.write("life ")
            if (folder / name).read_text().count("life") <= int(name[-1]):
                os.kill(os.getpid(), signal.SIGKILL)
        if name == "waits":
            (folder / "waits").touch()
            time.sleep(600)
    except KeyboardInterrupt:
        return [name + " until it was interrupted"]
    return [name]

if __name__ == "__main__":
    jobs = [(Path(sys.argv[1]), name) for name in sys.argv[2:]]
    try:
        run_jobs(run, jobs, 2, lambda outcome: print(outcome, flush=True))
    except (WorkerLostError, KeyboardInterrupt) as error:
        print(type(error).__name__)
"""


def run_jobs_in(folder: Path, *names: str) -> subprocess.Popen[str]:
    """A process that runs a job of each name, and prints their outcomes."""
    (folder / "jobs.py").write_text(JOBS)
    return subprocess.Popen(
        [sys.executable, str(folder / "jobs.py"), str(folder), *names], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (["a", "killed-1", "b", "c"], ["a", "b", "c", "killed-1"]),
        (["killed-9"], ["WorkerLostError"]),
    ],
)
def test_jobs_of_a_killed_worker_are_run_again(
    tmp_path: Path, names: list[str], lines: list[str]
) -> None:
    out, err = run_jobs_in(tmp_path, *names).communicate(timeout=60)
    assert sorted(out.splitlines()) == lines, err
    if names == ["killed-9"]:
        assert (tmp_path / "killed-9").read_text().count("life") == 2


@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_interrupted_jobs_return_what_they_have(
    tmp_path: Path, send: Callable[[int, int], None]
) -> None:
    process = run_jobs_in(tmp_path, "a", "waits")
    deadline = time.monotonic() + 30
    assert process.stdout is not None
    assert process.stdout.readline() == "a\n"  # its worker is idle from now on
    while not (tmp_path / "waits").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    send(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.splitlines() == ["waits until it was interrupted", "KeyboardInterrupt"], err
    assert err == ""


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    workers = [int(word) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert workers
    deadline = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))

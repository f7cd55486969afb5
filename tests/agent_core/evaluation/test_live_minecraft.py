"""Live Minecraft through the command: evaluation that goes on after a crash, and ends that leave nothing running.

pytest -m minecraft tests/agent_core/evaluation/test_live_minecraft.py     (after `iafm minecraft install`)
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_core.evaluation.minecraft import LiveEvaluation, evaluate_live
from bridges.minecraft.packages import find_requirements
from bridges.minecraft.tasks import live_spec
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server

pytestmark = pytest.mark.minecraft
ENDS_S = 15.0


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command of every process, as `ps` has them."""
    listing = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    lines = (line.split(None, 2) for line in listing.stdout.splitlines())
    return {int(pid): (int(parent), args) for pid, parent, args in lines}


def descendants(pid: int) -> set[int]:
    """A process with all that it started."""
    parents, family = processes(), {pid}
    while more := {p for p, (parent, _) in parents.items() if parent in family} - family:
        family |= more
    return family


def browsers() -> list[int]:
    """Chromium's processes that this one started."""
    commands = processes()
    mine = descendants(os.getpid()) & commands.keys()
    return sorted(pid for pid in mine if "chromium" in commands[pid][1])


def test_an_evaluation_goes_on_after_a_browser_that_crashed(tmp_path: Path) -> None:
    tasks = ("place_blocks", "dig_down")
    plan = LiveEvaluation(tmp_path, live_spec("128x72"), 4, tasks, ("expert",), first_seed=7)

    def progress(done: int, total: int) -> None:
        if done == 3:
            os.kill(browsers()[0], signal.SIGKILL)

    report = evaluate_live(plan, find_requirements(), progress)
    assert {task: report["tasks"][task]["expert"]["success"] for task in tasks} == {
        "place_blocks": 1.0,
        "dig_down": 1.0,
    }
    assert report["real_time"]["expert"]["steps_per_s"] > 0
    for failure in report["failures"]:  # none where the crash fell between two episodes
        assert (failure["task"], failure["why"]) == ("dig_down", "Chromium ended")
    assert browsers() == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["play --embedded", "evaluate --conditions random"])
def test_nothing_is_left_of_live_play_that_is_stopped(how: signal.Signals, command: str) -> None:
    name, *options = command.split()
    with background_server(RandomPolicy()) as server:
        url = ["--url", server.url] if name == "play" else []
        arguments = [sys.executable, "-m", "agent_core", name, "minecraft", *options, *url]
        with subprocess.Popen(
            [*arguments, "--size", "128x72"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as live:
            assert live.stdout is not None
            while len(family := descendants(live.pid)) < 10:
                assert not select.select([live.stdout], [], [], 0.5)[0]  # it goes on
            handles = [os.pidfd_open(pid) for pid in family - {live.pid}]
            live.send_signal(how)
            lines = live.communicate(timeout=ENDS_S)[1].decode()
    assert live.returncode in (0, 130, 143)
    assert "Traceback" not in lines
    for handle in handles:
        assert select.select([handle], [], [], ENDS_S)[0]
        os.close(handle)

"""A session on a real X server (Xvfb) with xdotool as the person, in three games: words, takeovers, pace."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT
from games.registry import load
from recorder import Episode, open_episodes
from recorder.format.manifest import ACTIONS, EVENTS, TEXT, read_lines

ROOT = Path(__file__).parents[3]
PATIENCE = 3000
"""Looks at the capture before a session counts as stuck."""
IDLE = [sys.executable, str(Path(__file__).with_name("idle_policy.py"))]
SHIPPED = [
    *(sys.executable, "-m", "agent_core", "record", "voxel", "--agent", str(DEFAULT_CHECKPOINT)),
    *("--author", "xdotool", "--countdown", "0", "--json", "--out"),
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool"
    ),
]


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """An X server of its own."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x900x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        with os.fdopen(read) as pipe:
            yield f":{pipe.readline().strip()}"
        server.terminate()


@dataclass
class Session:
    """A game that is recorded in a process of its own, and the person at it."""

    process: subprocess.Popen[str]
    environment: dict[str, str]
    out: Path

    @property
    def folder(self) -> Path:
        return min(self.out.iterdir())

    def person(self, *words: str) -> None:
        done = subprocess.run(
            ["xdotool", *words], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def wait(self, condition: Callable[[], object]) -> None:
        """Look again until something is in the capture; the game goes on meanwhile."""
        pause = threading.Event()
        for _ in range(PATIENCE):
            assert self.process.poll() is None, "the window was closed"
            if self.out.is_dir() and any(self.out.iterdir()) and condition():
                return
            pause.wait(0.02)
        raise AssertionError(f"nothing came of it; {self.count()} steps are recorded")

    def rows(self, name: str) -> list[dict[str, object]]:
        return read_lines(self.folder / name)

    def by(self) -> list[object]:
        return [row["by"] for row in self.rows(ACTIONS)]

    def count(self) -> int:
        return len(self.rows(ACTIONS))

    def wait_for_steps(self, who: str, steps: int = 3) -> None:
        self.wait(lambda: self.by()[-steps:] == [who] * steps)

    def say(self, line: str, *keys: str) -> None:
        """Type a line and press keys, and go on once it is on the disk and the game has played on."""
        opened = [row["kind"] for row in self.rows(EVENTS)].count("typing_began")
        self.person("key", "t")
        self.wait(lambda: [r["kind"] for r in self.rows(EVENTS)].count("typing_began") > opened)
        self.person("type", "--delay", "20", line)
        texts = len(self.rows(TEXT))
        self.person("key", *keys, "Return")
        self.wait(lambda: len(self.rows(TEXT)) > texts)
        count = self.count()
        self.wait(lambda: self.count() >= count + 2)


def start(command: list[str], out: Path, display: str) -> Session:
    environment = {
        **os.environ,
        "DISPLAY": display,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("SDL_VIDEODRIVER", None)
    process = subprocess.Popen(
        [*command, str(out)], cwd=ROOT, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return Session(process, environment, out)


GAMES = [
    pytest.param(SHIPPED, "voxel", "w", "forward", id="voxel"),
    pytest.param([*IDLE, "frozen-lake"], "frozen-lake", "Left", "left", id="frozen-lake"),
    pytest.param(
        [*IDLE, "examples.babyai:GO_TO_LOCAL"], "examples.babyai:GO_TO_LOCAL", "Right", "right",
        id="babyai",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("command", "game", "key", "control"), GAMES)
def test_a_person_at_a_display(
    command: list[str], game: str, key: str, control: str, tmp_path: Path, display: str
) -> None:
    if "babyai" in game:
        pytest.importorskip("minigrid")
    session = start(command, tmp_path / "out", display)
    with session.process:  # which closes its pipes
        try:
            play(session, key)
            output, errors = session.process.communicate()
        finally:
            session.process.kill()
    assert session.process.returncode == 0, errors
    report = json.loads(output.splitlines()[-1])
    print(f"{game}: {report['hz']} of {load(game).spec.step_hz:g} Hz over {report['steps']} steps")
    check(min(open_episodes(tmp_path / "out"), key=lambda e: e.id), control)


def play(session: Session, key: str) -> None:
    """The agent, the person, the agent; meanwhile a thought that is put right, a goal and a tag."""
    session.wait_for_steps("agent")
    session.person("keydown", key)
    session.wait_for_steps("human", 2)
    session.person("keyup", key)
    session.say("i see a tre", "Up")  # since a second ago
    session.say("/fix 0 i see a tree")
    session.say("/goal stay here")
    texts = len(session.rows(TEXT))
    session.person("key", "2")
    session.wait(lambda: len(session.rows(TEXT)) > texts)
    session.person("key", "Tab")
    session.wait_for_steps("agent", 20)
    session.person("key", "Escape")


def check(episode: Episode, control: str) -> None:
    """Who acted, what was pressed and what was written, each at its step."""
    assert [by for by, _ in groupby(episode.by)] == ["agent", "human", "agent"]
    begin, end = episode.by.index("human"), len(episode) - episode.by[::-1].index("human")
    of_person = episode.agent_actions[begin:end]
    assert any(of_person)  # not in steps that were late: there the agent is not waited for
    assert not any(episode.agent_actions[:begin] + episode.agent_actions[end:])
    events = read_lines(episode.folder / EVENTS)
    owners = [(e["i"], e["owner"]) for e in events if e["kind"] == "control"]
    assert owners == [(begin, "human"), (end, "agent")]
    held = [i for i in range(begin, end) if episode.actions[i][control]]
    presses = [e["i"] for e in events if e["kind"] == "input" and e["value"] == 1]
    assert held[0] == begin == presses[0]
    assert held == list(range(held[0], held[-1] + 1))
    opened = [int(str(e["i"])) for e in events if e["kind"] == "typing_began"]
    since = max(0, opened[0] - round(episode.spec.step_hz))
    thought, fixed, goal, tag = episode.all_texts
    assert (thought.text, thought.i0, thought.style) == ("i see a tre", since, "thought")
    assert (fixed.text, fixed.i0, fixed.supersedes) == ("i see a tree", since, 0)
    assert (goal.text, goal.i0, goal.style) == ("stay here", opened[2], "instruction")
    assert (tag.text, tag.i1, tag.style) == ("mistake", tag.i0 + 1, "quick_tag")
    assert goal.i0 <= tag.i0 <= end
    first = episode.header.instruction
    assert episode.instructions == [first] * goal.i0 + ["stay here"] * (len(episode) - goal.i0)
    assert episode.thoughts[since] == "i see a tree"

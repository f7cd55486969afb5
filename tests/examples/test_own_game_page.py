"""The page "Your own game", followed to the letter in an empty folder: its files, its commands, in their order.

Fewer episodes and steps alone make it shorter, and the server gets a free port.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pygame
import pytest

from agent_core.__main__ import main
from agent_core.evaluation.plan import CONDITIONS
from agent_core.recording.human import record_human
from recorder import open_episodes
from tests.games.human.scripted_window import ENTER, OPEN, Ticks, key, script, typed, up

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "examples" / "OWN_GAME.md").read_text()
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.M | re.S)
FILES = {mark.split()[1]: text for mark, text in FENCE.findall(PAGE) if mark.startswith("python ")}
COMMANDS = [
    line for mark, text in FENCE.findall(PAGE) if mark == "bash" for line in text.splitlines()
]
(PERSON,) = (line for line in COMMANDS if "--author" in line)
"""The command that opens a window."""
SHORTER = {
    "record": ["--episodes", "8"],
    "train": ["--set", "train.steps=2", "--set", "train.validation_windows=16"],
    "evaluate": ["--episodes", "1"],
    "play": ["--episodes", "1"],
}


def test_the_files_are_python_and_the_adapter_is_short() -> None:
    assert list(FILES) == ["my_crafter.py", "crafter_missions.py", "attach.py"]
    for name, text in FILES.items():
        compile(text, name, "exec")
    code = [line for line in FILES["my_crafter.py"].splitlines() if line]
    assert len(code) <= 20


class Reader:
    """Somebody who follows the page in a folder."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.folder, self.port = folder, listening.getsockname()[1]
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        for name, text in FILES.items():
            (folder / name).write_text(text.replace("8765", str(self.port)))

    def argv(self, line: str) -> list[str]:
        """A line of the page as a command of this Python."""
        program, *words = shlex.split(line)
        if program == "python":
            return [sys.executable, *words]
        assert program == "iafm"
        port = {
            "serve": ["--port", f"{self.port}"],
            "play": ["--url", f"ws://127.0.0.1:{self.port}/v1"],
        }
        extra = [*SHORTER.get(words[0], []), *port.get(words[0], [])]
        return [sys.executable, "-m", "agent_core", *words, *extra]

    def run(self, line: str) -> str:
        """What a command prints; it must succeed."""
        done = subprocess.run(
            self.argv(line), cwd=self.folder, env=self.environment, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def serving(self, line: str) -> Iterator[None]:
        """The server of a line, while the context lasts."""
        server = subprocess.Popen(
            self.argv(line),
            cwd=self.folder,
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stderr is not None
            printed = iter(server.stderr.readline, "")
            assert any(f":{self.port}" in line for line in printed), (
                "it did not say where it listens"
            )
            yield
        finally:
            server.terminate()
            server.communicate(timeout=30)


def test_a_person_is_recorded_in_the_pages_game(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("crafter")
    Reader(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    unseen = partial(record_human, headless=True, clock=Ticks(5))
    monkeypatch.setattr("agent_core.recording.human.record_human", unseen)
    right = [key(pygame.K_RIGHT), up(pygame.K_RIGHT)]
    goal = [*OPEN, *typed("/goal drink water"), *ENTER]
    script(monkeypatch, [[], right, [], goal, *[[]] * 4])
    try:
        assert main([*shlex.split(PERSON)[1:], "--countdown", "0"]) == 0
    finally:
        for name in ("my_crafter", "crafter_missions"):
            sys.modules.pop(name, None)
    (episode,) = open_episodes(tmp_path / "data" / "mine")
    assert episode.header.author == "you"
    assert [action["right"] for action in episode.actions] == [0, 1] + [0] * (len(episode) - 2)
    given = episode.instructions
    assert given == [given[0]] * 3 + ["drink water"] * (len(episode) - 3)
    assert given[0] in ("collect wood", "collect a sapling", "drink water", "eat a cow")


@pytest.mark.slow
def test_the_page_followed_to_the_letter(tmp_path: Path) -> None:
    pytest.importorskip("crafter")
    install, *commands = COMMANDS
    assert "[agent,crafter]" in install
    (served,) = [k for k, line in enumerate(commands) if line.startswith("iafm serve")]
    reader = Reader(tmp_path)
    alone = [line for line in commands[:served] if line != PERSON]
    printed = {line.split()[1]: reader.run(line) for line in alone}
    assert list(printed) == ["check", "record", "train", "evaluate"]
    assert len(list((tmp_path / "data" / "crafter").iterdir())) == 8
    (shown,) = [text for mark, text in FENCE.findall(PAGE) if mark == "toml"]
    saved = (tmp_path / "runs" / "crafter" / "settings.toml").read_text()
    assert keys(saved) == keys(shown)
    assert all(name.rpartition(".")[2] in printed["train"] for name in keys(shown))
    for column in CONDITIONS:
        assert column in printed["evaluate"]
    with reader.serving(commands[served]):
        played = [reader.run(line) for line in commands[served + 1 :]]
    assert "episodes" in played[0]
    assert re.search(r"^\w[\w ]+: \d+ steps, success (True|False)$", played[1], re.M)


def keys(recipe: str) -> set[str]:
    """The names of a recipe's settings."""
    return {f"{s}.{name}" for s, values in tomllib.loads(recipe).items() for name in values}

"""A person at a real display: `iafm record` in a window of Xvfb, with xdotool at the keyboard."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT
from games.registry import load
from recorder import Episode, open_episodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool"
    ),
]
GRID = """
import gymnasium
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from games import Button, FrameSize, Game, GameSpec
from games.gymnasium_game import GymnasiumGame

NAMES = ("up", "right", "down", "left")
SPEC = GameSpec(
    id="cliff-v0", title="Cliff", frame=FrameSize(height=60, width=180), step_hz=4,
    controls=tuple(Button(name=n, meaning=f"move.{n}") for n in NAMES), exclusive=(NAMES,),
)
WAIT = 4


class Waiting(gymnasium.Wrapper):
    action_space = gymnasium.spaces.Discrete(5)

    def step(self, action):
        if action == WAIT:
            return self.env.unwrapped.s, 0.0, False, False, {}
        return super().step(action)


def make():
    env = Waiting(CliffWalkingEnv(render_mode="rgb_array"))
    actions = {(): WAIT} | {(name,): i for i, name in enumerate(NAMES)}
    return GymnasiumGame(SPEC, env, actions, tasks={"walk": ("walk to the cookie",)})


GAME = Game(SPEC, make, ("walk",))
"""


@pytest.fixture(scope="module")
def display() -> Iterator[dict[str, str]]:
    """The environment of a display of its own."""
    reader, writer = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(writer),
        "-screen",
        "0",
        "1400x1000x24",
        "-nolisten",
        "tcp",
    ]
    server = subprocess.Popen(command, pass_fds=(writer,), stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as numbers:
            number = numbers.readline().strip()
        variables = {"DISPLAY": f":{number}", "SDL_VIDEODRIVER": "x11", "OMP_NUM_THREADS": "1"}
        yield {**os.environ, **variables}
    finally:
        server.terminate()
        server.wait(30)


class Session:
    """A running recording, and the hands at its keyboard."""

    def __init__(self, display: dict[str, str], folder: Path, game: str, *options: str) -> None:
        self._display, self.out = display, folder / "out"
        root = str(Path(__file__).parents[3])
        options = (game, "--author", "you", "--out", str(self.out), "--countdown", "0", *options)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent_core", "record", *options, "--json"],
            cwd=folder, env={**display, "PYTHONPATH": root}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> "Session":
        """Wait for the window and give it the keyboard."""
        self.hands("search", "--sync", "--onlyvisible", "--class", ".", "windowfocus")
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        print(*self._process.communicate())  # shown where the test fails

    def hands(self, *words: str) -> str:
        """What xdotool does; `sleep` is one of its commands."""
        done = subprocess.run(
            ["xdotool", *words], env=self._display, capture_output=True, text=True, check=True,
            timeout=60,
        )  # fmt: skip
        return done.stdout

    def close(self) -> tuple[dict[str, Any], Episode]:
        """Leave the game; returns the report and the only episode."""
        self.hands("key", "Escape")
        out, errors = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, errors
        (episode,) = open_episodes(self.out)
        return json.loads(out), episode


def events(episode: Episode, *kinds: str) -> list[int]:
    """The steps of events."""
    rows = map(json.loads, (episode.folder / "events.jsonl").read_text().splitlines())
    return [row["i"] for row in rows if row["kind"] in kinds]


@pytest.mark.parametrize(("game", "key", "control"), [
    ("voxel", "w", "forward"), ("frozen-lake", "Left", "left"), ("cliff:GAME", "Up", "up"),
])  # fmt: skip
def test_a_person_plays_and_writes(
    game: str, key: str, control: str, display: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "cliff.py").write_text(GRID)
    with Session(display, tmp_path, game) as session:
        session.hands("sleep", "1.5", "keydown", key, "sleep", "1", "keyup", key, "sleep", "1")
        session.hands("key", "t", "sleep", "0.3", "type", "see wwww")
        session.hands("key", "Up", "key", "Return", "sleep", "1", "key", "3", "sleep", "1")
        session.hands("key", "t", "sleep", "0.3", "type", "/goal rest")
        session.hands("key", "Return", "sleep", "1")
        report, episode = session.close()
    hz = load(game).spec.step_hz if ":" not in game else 4
    assert (report["episodes"], report["steps_by"]["human"]) == (1, len(episode))
    pressed = [i for i, action in enumerate(episode.actions) if action[control]]
    assert pressed == list(range(pressed[0], pressed[-1] + 1))  # what is typed presses nothing
    first, second = events(episode, "typing_began")
    assert pressed[-1] < first < second
    thought, tag, goal = episode.texts
    assert (thought.text, thought.style, thought.i0) == ("see wwww", "thought", first - hz)
    assert (tag.text, tag.style, tag.i1) == ("danger", "quick_tag", tag.i0 + 1)
    assert first < tag.i0 < second
    assert (goal.text, goal.style, goal.i0) == ("rest", "instruction", second)
    given = episode.instructions
    assert given == [given[0]] * second + ["rest"] * (len(episode) - second)


def test_an_agent_hands_over_and_goes_on(display: dict[str, str], tmp_path: Path) -> None:
    with Session(display, tmp_path, "voxel", "--agent", str(DEFAULT_CHECKPOINT)) as session:
        session.hands("sleep", "2", "keydown", "s", "sleep", "1", "keyup", "s", "sleep", "1")
        session.hands("key", "Tab", "sleep", "2")
        _, episode = session.close()
    to_person, to_agent = events(episode, "control")
    assert episode.by == (
        ["agent"] * to_person
        + ["human"] * (to_agent - to_person)
        + ["agent"] * (len(episode) - to_agent)
    )
    assert episode.actions[to_person]["back"] == 1
    both = [action for action in episode.agent_actions[to_person:to_agent] if action is not None]
    assert len(both) > (to_agent - to_person) / 2  # it is not asked at steps that are late

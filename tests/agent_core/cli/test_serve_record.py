"""Serve with --record: what attached games play is recorded, listed, sound and trained on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent_core.__main__ import main
from bridges.client import connect
from bridges.console_client import watch
from bridges.protocol.messages import State
from bridges.protocol.record_messages import Recording
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from games import Button, Frame, FrameSize, GameSpec
from recorder import Tap, open_episodes

SPEC = GameSpec(
    id="walk-v0",
    title="Walk",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="left"), Button(name="right")),
)
TINY = {
    "model": "width=16 layers=1 heads=2 stem_widths=[8,8,8] text_vocab_size=300 frame_height=16 frame_width=16 "
    "pooled_grid=[1,1] context_frames=2",
    "data": "window_frames=3 validation=0",
    "train": "steps=2 batch=4 warmup_steps=1",
}  # fmt: skip


def frame_of(step: int) -> Frame:
    return np.full(SPEC.frame.shape, 10 + 8 * step, np.uint8)


def play(url: str) -> list[dict[str, int]]:
    """Two episodes: a person takes the second over; returns what was done."""
    done = []
    with connect(url, SPEC, instruction="walk on", owner="shared") as game:
        for episode in range(2):
            report: dict[str, Any] = {}
            for step in range(12):
                act = game.act(frame_of(step), **report)
                pressed = {"right": 1} if (episode, step) == (1, 4) else None
                done.append(SPEC.normalize(pressed or act.action))
                report = {"executed": done[-1], "reward": 1.0}
                if episode == 1 and step >= 4:
                    report["input"] = pressed or {}
                    done[-1] = report["executed"] = SPEC.normalize(pressed or {})
            game.correct("the other way")
            game.event(terminated=True, success=episode == 0, task="walk", **report)
            game.control("shared")
            game.instruct("walk back")
    return done


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, int]]]:
    """The folder of a session's episodes, and what was done in them."""
    folder = tmp_path_factory.mktemp("recorded")
    with background_server(RandomPolicy(), listeners=[Tap(folder)]) as server:
        return folder, play(server.url)


def test_every_episode_of_a_session_is_recorded(
    recorded: tuple[Path, list[dict[str, int]]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, done = recorded
    first, second = sorted(open_episodes(folder), key=lambda e: e.header.instruction)[::-1]
    assert (first.header.instruction, second.header.instruction) == ("walk on", "walk back")
    assert [*first.executed, *second.executed] == done
    assert first.by == ["agent"] * 12
    assert second.by == ["agent"] * 4 + ["human"] * 8
    assert second.actions == done[12:]
    assert [a is None for a in second.agent_actions] == [True] * 4 + [False] * 8
    assert (first.header.success, second.header.success) == (True, False)
    assert [t.text for t in first.texts] == ["the other way"]
    assert sum(first.rewards) == 12
    assert main(["episodes", "list", str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows if isinstance(rows, list) else rows["episodes"]) == 2
    assert main(["episodes", "validate", str(folder)]) == 0


@pytest.mark.slow
def test_what_was_recorded_is_trained_on(
    recorded: tuple[Path, list[dict[str, int]]], tmp_path: Path
) -> None:
    values = [f"{group}.{value}" for group, line in TINY.items() for value in line.split()]
    values.append(f'data.episodes=["{recorded[0]}"]')
    options = [part for value in values for part in ("--set", value)]
    assert main(["train", "--run", str(tmp_path / "run"), *options]) == 0
    assert (tmp_path / "run" / "best" / "config.json").exists()


def test_the_state_says_that_it_is_recorded(tmp_path: Path) -> None:
    with (
        background_server(RandomPolicy(), listeners=[Tap(tmp_path)]) as server,
        connect(server.url, SPEC) as game,
    ):
        for step in range(3):
            game.act(frame_of(step))
        game.event(terminated=True)
        game.act(frame_of(0))
        for message in watch(server.url):
            if isinstance(message, State) and message.sessions[0].recording == Recording(
                episodes=1, steps=3
            ):
                return

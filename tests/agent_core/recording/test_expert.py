"""Expert recording: DAgger rollouts, experts that raise, instructions that are too long."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent_core.__main__ import main
from agent_core.agent import Agent
from agent_core.recording import expert
from agent_core.recording.expert import RecordingPlan, record_expert, record_one
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT
from bridges.policy import Decision, PolicyRequest
from games import GameSpec
from games.check import check_expert
from games.registry import load
from recorder import DiskFullError, open_episodes

GAME = """
import numpy as np
from games import Button, FrameSize, Game, GameSpec
from games.env import action_space, observation_space

SPEC = GameSpec(id="lamp-v0", title="Lamp", frame=FrameSize(height=16, width=16), step_hz=10,
                controls=(Button(name="press", meaning="attack.primary"),))

class Lamp:
    game = SPEC
    action_space, observation_space = action_space(SPEC), observation_space(SPEC)

    def reset(self, *, seed=None, options=None):
        self.seed, self.steps = seed, 0
        self.task = (options or {}).get("task", "press")
        return self._observation(), {"task": self.task, "success": False}

    def step(self, action):
        self.steps += 1
        ended = self.steps == 6
        return self._observation(), 0.0, ended, False, {"task": self.task, "success": ended}

    def close(self):
        pass

    def _observation(self):
        words = " ".join(["press"] * (40 if self.task == "press_long" else 1))
        return {"frame": np.full((16, 16, 3), 9, np.uint8), "instruction": words}

def expert(env):
    def act():
        if env.task == "press_odd" and env.seed % 2 and env.steps == 3:
            raise IndexError("no such [lamp]")
        return ({"press": 1} if env.task != "press_wrong" else {"pres": 1}), ""
    return act

GAME = Game(SPEC, Lamp, ("press", "press_odd", "press_long", "press_wrong"), expert)
"""


@pytest.fixture
def lamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small game in a module of its own, as worker processes can import it."""
    (tmp_path / "lamp_game.py").write_text(GAME)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "lamp_game:GAME"


def command(game: str, task: str, out: Path, episodes: int) -> list[str]:
    numbers = ["--episodes", str(episodes), "--workers", "1", "--noise-prob", "0", "--json"]
    return ["record", game, "--expert", "--tasks", task, "--out", str(out), *numbers]


def test_an_expert_that_raises_loses_its_episode_alone(
    lamp: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "data"
    assert main(command(lamp, "press_odd", out, 4)) == 1
    printed = capfd.readouterr()
    report = json.loads(printed.out)
    assert (report["episodes"], report["failed"]) == (2, 2)
    assert report["success"] == {"press_odd": 1.0}
    for seed in (1, 3):
        assert f"seed {seed}, task press_odd: the expert raised IndexError: no such [lamp]" in (
            " ".join(printed.err.split())
        )
    assert "lamp_game.py:" in printed.err
    assert "Traceback" not in printed.err
    assert {episode.header.seed for episode in open_episodes(out)} == {0, 2}
    assert len(open_episodes(out)) == 2


def test_progress_comes_within_an_episode_too_and_counts_steps(
    lamp: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expert, "PROGRESS_EVERY_S", 0.01)
    plan = RecordingPlan(tmp_path / "data", 2, noise_prob=0, tasks=("press",), game=lamp)
    calls: list[tuple[int, int]] = []
    record_expert(plan, 1, lambda *done: calls.append(done))
    assert calls[0] == (0, 0)  # while the workers start
    assert calls[-1] == (2, 12)


def test_an_expert_of_actions_that_are_none_is_named(lamp: str, tmp_path: Path) -> None:
    result = record_one(RecordingPlan(tmp_path, 1, tasks=("press_wrong",), game=lamp), 0)
    assert "no control called 'pres'" in result.error
    assert not list(tmp_path.glob("*/manifest.json"))


def test_check_runs_the_expert(lamp: str, capsys: pytest.CaptureFixture[str]) -> None:
    codes = {problem.code: problem.message for problem in check_expert(load(lamp))}
    assert set(codes) == {"expert-raises", "expert-action"}
    assert codes["expert-raises"] == "task 'press_odd', seed 1: IndexError: no such [lamp]"
    assert check_expert(load("pong")) == []
    assert main(["check", lamp, "--json"]) == 1
    assert "expert-raises" in {row["code"] for row in json.loads(capsys.readouterr().out)}


def test_an_instruction_beyond_the_room_is_said_when_recorded(
    lamp: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    main(command(lamp, "press", tmp_path / "short", 1))
    assert not caplog.messages
    main(command(lamp, "press_long", tmp_path / "long", 2))
    (line,) = caplog.messages
    assert "has at least 40 tokens, a model reads the first 30" in line


def test_a_bad_capture_is_named_and_the_others_are_not_recorded_again(
    lamp: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "data"
    for seed in range(3):
        record_one(RecordingPlan(out, 1, tasks=("press",), game=lamp), seed)
    bad = next(e for e in open_episodes(out) if e.header.seed == 1)
    (bad.folder / "manifest.json").write_text("{")
    capfd.readouterr()
    assert main(command(lamp, "press", out, 3)) == 0
    assert json.loads(capfd.readouterr().out)["episodes"] == 1
    assert bad.id in caplog.messages[0]
    assert sorted(str(e.header.seed) for e in open_episodes(out)) == ["0", "1", "2"]


def test_a_disk_that_fills_up_ends_the_run_and_leaves_no_half_episode(
    lamp: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    free = iter([10**12, 10**6])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=next(free)))
    with pytest.raises(DiskFullError, match="make room first"):
        record_one(RecordingPlan(tmp_path / "data", 1, tasks=("press",), game=lamp), 0)
    assert list((tmp_path / "data").iterdir()) == []


@dataclass
class Session:
    """A fake policy's session."""

    spec: GameSpec
    warnings: tuple[str, ...] = ()
    closed: bool = False

    def reset(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@dataclass
class FakePolicy:
    """Presses nothing; remembers its sessions."""

    name: str = "fake"
    sessions: list[Session] = field(default_factory=list)

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> Session:
        self.sessions.append(Session(spec))
        return self.sessions[-1]

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        return [Decision(action={"press": 0}, words="", probability=1.0) for _ in requests]

    def ask(self, player: object, question: str) -> str:
        return ""


def test_every_rollout_frees_its_session(lamp: str, tmp_path: Path) -> None:
    policy = FakePolicy()
    plan = RecordingPlan(tmp_path, 2, tasks=("press_odd",), game=lamp)
    assert not record_one(plan, 0, policy).error
    assert record_one(plan, 1, policy).error  # and where the episode fails
    assert [session.closed for session in policy.sessions] == [True, True]
    (episode,) = open_episodes(tmp_path)
    assert episode.header.actor == "agent"
    assert [action["press"] for action in episode.actions] == [1] * 6


def test_an_instruction_beyond_the_room_is_said_in_play(caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent.load(DEFAULT_CHECKPOINT, temperature=0)
    game = load("voxel")
    player = agent.attach(game.spec, seed=0)
    assert game.make is not None
    env = game.make()
    frame = env.reset(seed=0)[0]["frame"]
    for words in ("chop the tree", "press " * 40, "press " * 40):
        agent.act([PolicyRequest(player, frame, words)])
    env.close()
    (line,) = caplog.messages
    assert "a model reads the first 30" in line


def test_each_step_says_who_acted(lamp: str, tmp_path: Path) -> None:
    for folder, noise_prob in (("noise", 1.0), ("plain", 0.0)):
        plan = RecordingPlan(
            tmp_path / folder, 1, noise_prob=noise_prob, tasks=("press",), game=lamp
        )
        assert not record_one(plan, 0).error
    (noisy,), (plain,) = (open_episodes(tmp_path / folder) for folder in ("noise", "plain"))
    assert set(noisy.by) == {"noise"}
    assert set(plain.by) == {"expert"}
    assert [action["press"] for action in noisy.actions] == [1] * 6  # the label stays the expert's

"""Games in other processes that fail: what is played again, how often, and what is left when it ends early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_core.evaluation import closed_loop, report
from agent_core.evaluation.closed_loop import Outcome, Setup, play_episodes
from agent_core.evaluation.game_failures import LostGameError
from agent_core.evaluation.plan import EpisodeSpec, Evaluation
from games.registry import load
from tests.agent_core.evaluation.failing_game import WAITS, FailingEnv

SEEDS = (5, 6, 7)


@pytest.fixture
def envs(monkeypatch: pytest.MonkeyPatch) -> list[FailingEnv]:
    """The environments that are made of Frozen Lake; one runs at a time."""
    made: list[FailingEnv] = []

    def make(name: str) -> FailingEnv:
        made.append(FailingEnv())
        return made[-1]

    game = replace(load("frozen-lake"), max_envs=1)
    monkeypatch.setattr(closed_loop, "load", lambda name: game)
    monkeypatch.setattr(closed_loop, "make", make)
    monkeypatch.setattr(FailingEnv, "episodes", [])
    return made


def play(*episodes: str, condition: str = "random") -> list[Outcome]:
    """Three episodes, of which the n-th that is begun goes as the n-th word says."""
    FailingEnv.episodes[:] = episodes
    specs = [EpisodeSpec("cross_lake", condition, seed) for seed in SEEDS]
    played: list[Outcome] = []
    played.extend(play_episodes(specs, Setup(Path("none"), game="frozen-lake")))
    assert [outcome.spec for outcome in played] == specs
    return played


@pytest.mark.parametrize("condition", ["random", "expert"])
def test_an_episode_whose_game_fails_is_played_again(
    envs: list[FailingEnv], condition: str
) -> None:
    whole = play(condition=condition)
    envs.clear()
    played = play("plays", "fails in a step", condition=condition)
    assert [outcome.failures for outcome in played] == [(), ("TimeoutError: timed out",), ()]
    assert [replace(outcome, failures=()) for outcome in played] == whole
    assert len(envs) == 2
    assert all(env.is_closed for env in envs)


def test_an_episode_whose_game_fails_twice_counts_as_failed(envs: list[FailingEnv]) -> None:
    whole = play()
    played = play("fails in a step", "fails in a step")
    why = "TimeoutError: timed out"
    assert played[0] == Outcome(EpisodeSpec("cross_lake", "random", 5), False, 0, 0.0, (why, why))
    assert played[1:] == whole[1:]


def test_a_game_that_does_not_begin_is_made_anew(envs: list[FailingEnv]) -> None:
    played = play("plays", "fails in reset")
    assert [len(outcome.failures) for outcome in played] == [0, 1, 0]
    assert all(outcome.steps for outcome in played)


def test_a_game_that_never_begins_ends_play_after_what_has_ended(envs: list[FailingEnv]) -> None:
    FailingEnv.episodes[:] = ["plays", "fails in reset", "fails in reset"]
    specs = [EpisodeSpec("cross_lake", "random", seed) for seed in SEEDS]
    episodes = play_episodes(specs, Setup(Path("none"), game="frozen-lake"))
    assert next(episodes).spec.seed == 5
    with pytest.raises(LostGameError, match="ConnectionResetError: reset by peer"):
        next(episodes)
    assert len(envs) == 2
    assert all(env.is_closed for env in envs)


def test_a_fault_of_the_game_itself_is_raised(envs: list[FailingEnv]) -> None:
    with pytest.raises(ZeroDivisionError):
        play("has a fault")


def evaluate(
    monkeypatch: pytest.MonkeyPatch, outcomes: list[Outcome], end: BaseException
) -> report.Report:
    def run(specs: Any, setup: Any, workers: int, take: Any) -> None:
        for outcome in outcomes:
            take(outcome)
        raise end

    monkeypatch.setattr(report, "run_episodes", run)
    plan = Evaluation(Path("none"), 2, conditions=("random",), game="frozen-lake")
    return report.evaluate(plan)


def test_a_report_names_failures_and_why_it_ended_early(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EpisodeSpec("cross_lake", "random", 5)
    outcomes = [
        Outcome(spec, True, 9, 1.0, ("timed out",)),
        Outcome(replace(spec, seed=6), False, 0, 0.0, ("timed out", "gone")),
    ]
    lost = evaluate(monkeypatch, outcomes, LostGameError("nothing listens at port 9000"))
    assert lost["stopped"] == "nothing listens at port 9000"
    assert lost["tasks"]["cross_lake"]["random"]["episodes"] == 2
    assert [(each["seed"], each["why"], each["what"]) for each in lost["failures"]] == [
        (5, "timed out", "played again"),
        (6, "timed out", "played again"),
        (6, "gone", "counted as failed"),
    ]
    assert "next_action" not in lost
    interrupted = evaluate(monkeypatch, outcomes[:1], KeyboardInterrupt())
    assert interrupted["interrupted"]
    assert interrupted["tasks"]["cross_lake"]["random"]["success"] == 1.0
    with pytest.raises(LostGameError):
        evaluate(monkeypatch, [], LostGameError("nothing listens"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "send"),
    [(signal.SIGINT, os.killpg), (signal.SIGINT, os.kill), (signal.SIGTERM, os.kill)],
    ids=["terminal", "interrupted", "terminated"],
)
def test_an_interrupt_loses_no_episode_that_has_ended(
    tmp_path: Path, number: int, send: Callable[[int, int], None]
) -> None:
    """One worker plays, and waits for its game in the third episode."""
    command = [sys.executable, "-m", "agent_core", "evaluate"]
    command += ["tests.agent_core.evaluation.failing_game:GAME", "--conditions", "random"]
    command += ["--episodes", "5", "--next-action-episodes", "0", "--json"]
    waits = tmp_path / "waits"
    process = subprocess.Popen(
        command, env={**os.environ, WAITS: str(waits)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not waits.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    send(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert Path(f"{waits}-closed").exists()
    if number == signal.SIGTERM:
        assert (process.returncode, out) == (143, "")
        return
    assert process.returncode == 130, err
    played = json.loads(out)
    assert played["interrupted"]
    assert played["tasks"]["cross_lake"]["random"]["episodes"] == 2

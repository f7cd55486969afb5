"""Evaluation on recorded episodes of which some are damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent_core.__main__ import main
from agent_core.evaluation.closed_loop import Outcome, Setup
from agent_core.evaluation.plan import EpisodeSpec, Evaluation
from agent_core.evaluation.teacher_forced import next_action_report
from bridges.serving.random_policy import RandomPolicy
from games.voxel import SPEC
from recorder import CaptureError, CaptureInfo, CaptureWriter, Skipped, open_readable
from tests.recorder.damaged_captures import replace_line, spoil_picture


def record(root: Path, seed: int) -> Path:
    about = CaptureInfo(instruction="dig down", task="dig_down", seed=seed)
    with CaptureWriter.create(root, SPEC, about, disk_needed=0) as capture:
        for i in range(5):
            capture.step(np.full(SPEC.frame.shape, 40 * i, np.uint8), {"attack": i % 2})
    return capture.folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A whole capture, one with a torn row, one that does not decode."""
    _, torn, spoiled = (record(tmp_path / "data", seed) for seed in range(3))
    replace_line(torn, "actions.jsonl", 2, b"{\n")
    spoil_picture(spoiled)
    return tmp_path / "data"


def test_an_episode_that_does_not_decode_is_left_out(data: Path) -> None:
    episodes, skipped = open_readable(data), list[Skipped]()
    policies = {"random": RandomPolicy()}
    report = next_action_report(episodes, policies, on_skip=skipped.append)
    assert set(report) == {"random", "noop", "repeat_last"}
    assert report["noop"]["exact"] == 0.6  # of five steps, not of ten
    assert ["main.mp4" in each.why for each in skipped] == [True]
    with pytest.raises(CaptureError, match=r"main\.mp4"):
        next_action_report(episodes, policies)


def test_a_plan_is_refused_where_no_episode_can_be_read(data: Path) -> None:
    plan = Evaluation(conditions=("random",), data=data)
    plan.check()
    for rows in data.glob("*/actions.jsonl"):
        rows.unlink()
    with pytest.raises(CaptureError, match=r"no episode in .* can be read; .*actions\.jsonl"):
        plan.check()


def test_the_command_names_them_and_exits_1(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(
        specs: list[EpisodeSpec], setup: Setup, workers: int, take: Callable[[Outcome], None]
    ) -> None:
        for spec in specs:
            take(Outcome(spec, True, 1))

    monkeypatch.setattr("agent_core.evaluation.report.run_episodes", play)
    monkeypatch.setattr("agent_core.evaluation.report.load_policy", lambda *_: RandomPolicy())
    argv = ["evaluate", "voxel", "--conditions", "random", "--tasks", "dig_down", "--episodes", "1"]
    argv += ["--data", str(data), "--json"]
    assert main(argv) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["next_action"]["noop"]["exact"] == 0.6
    assert len(report["skipped"]) == 2
    assert "line 3 is no JSON" in err
    assert "main.mp4" in err

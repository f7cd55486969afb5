"""Does the benchmark play what it says it plays? Its figures themselves decide nothing."""

from __future__ import annotations

import pytest
import torch

from agent_core.bench_infer import STEPS, Timing, bench_infer, expert_play
from agent_core.bench_train import bench_train
from agent_core.checkpoint import SHIPPED, load
from agent_core.config import ConfigError
from agent_core.drawing import Drawing
from agent_core.grammar import Attachment
from agent_core.session import Session
from games.voxel import SPEC


def test_the_engine_gives_the_experts_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    attachment = Attachment(SPEC, load(SHIPPED).vocabulary)
    known = {tuple(attachment.ids(action)[1:-1]) for action in expert_play().actions}
    given = []
    before = Drawing.draft

    def draft(self: Drawing, session: Session, *drawn: list[list[int]]) -> tuple[int, ...]:
        given.append(session.bodies[0])
        return before(self, session, *drawn)

    monkeypatch.setattr(Drawing, "draft", draft)
    timing = Timing(seconds=0.1, threads=torch.get_num_threads(), alternatives=2)
    report = bench_infer(SHIPPED, timing, sessions=2)
    assert report["alternatives"] == 2
    assert report["sessions"] == 2
    assert report["actions_per_s"] > 0
    assert report["batching_gain"] > 0
    tower_and_decoder = 4e-6 * 900_000
    assert tower_and_decoder < report["least_read_mb"] < 4 * tower_and_decoder
    for ceiling in ("gemm", "bandwidth"):
        assert report[f"share_of_{ceiling}"] > 0
    assert {body for body in given if body} <= known
    assert len(set(given)) > 3
    assert len(expert_play().actions) == STEPS


def test_training_knows_no_whole_numbers() -> None:
    with pytest.raises(ConfigError, match="int8 is for play"):
        bench_train("tiny", Timing(0.01, precision="int8"))


def test_training_is_timed_on_whole_steps() -> None:
    report = bench_train("tiny", Timing(0.01, torch.get_num_threads()), batch=2)
    assert report["batch"] == 2
    assert report["windows_per_s"] > 0
    assert report["tflops"] > 0

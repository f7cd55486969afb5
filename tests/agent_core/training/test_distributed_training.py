"""Training in two processes: the losses of one, with replicated and with sharded weights."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from agent_core.config import (
    ModelConfig,
    RunConfig,
)
from agent_core.training.run_log import read_log
from agent_core.training.trainer import train_on
from agent_core.weights.checkpoint import load
from tests.agent_core.training.bright_episodes import FRAMES, MODEL, SPLITS, config, totals

pytestmark = pytest.mark.slow

PAPER = ModelConfig(
    backbone="paper", text_conditioning=False,
    width=32, layers=2, heads=2, patch=8, pooled_grid=(3, 4), global_token=True,
    temporal_attention=True, context_frames=3, max_text_tokens=16, max_thought_tokens=12, max_action_tokens=12,
    text_vocab_size=300, mae_blocks=1, mae_heads=2,
)  # fmt: skip


def as_one_of_two(run_dir: str, settings: str) -> None:
    """What each process of these tests does."""
    train_on(RunConfig.model_validate_json(settings), Path(run_dir), SPLITS, FRAMES)


def train_in_two(run_dir: Path, settings: RunConfig) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['as_one_of_two'](*sys.argv[2:])"
    environment = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, __file__, str(run_dir), settings.model_dump_json()],
            env={**os.environ, **environment, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]


@pytest.mark.parametrize(
    ("fsdp", "text_conditioning"), [(False, False), (True, True)], ids=["copied", "split"]
)
def test_two_processes_learn_as_one(tmp_path: Path, fsdp: bool, text_conditioning: bool) -> None:
    model = MODEL.model_copy(update={"text_conditioning": text_conditioning})
    one, two = (
        config(5, precision="float32", **changes).model_copy(update={"model": model})
        for changes in ({}, {"fsdp": fsdp})
    )
    train_on(one, tmp_path / "one", SPLITS, FRAMES)
    train_in_two(tmp_path / "two", two)
    assert totals(tmp_path / "two") == pytest.approx(totals(tmp_path / "one"), abs=1e-4)
    assert load(tmp_path / "two" / "best").header.metadata["steps"] == 5
    first, second = (read_log(tmp_path / name)[-1] for name in ("one", "two"))
    nats = "action_nats_per_token"
    assert second[nats] == pytest.approx(first[nats], abs=1e-4)


def test_split_weights_go_on_anywhere(tmp_path: Path) -> None:
    """The paper's backbone: two processes with split weights, one process, then two again."""
    whole = config(4, precision="float32", lr_end=1.0, ema_decay=0.5).model_copy(
        update={"model": PAPER}
    )
    train_on(whole, tmp_path / "whole", SPLITS, FRAMES)
    changes: dict[str, object] = {"fsdp": True, "activation_checkpointing": True, "accumulate": 2}

    def up_to(steps: int, **settings: object) -> RunConfig:
        train = whole.train.model_copy(update={"steps": steps, **settings})
        return whole.model_copy(update={"train": train})

    train_in_two(tmp_path / "cut", up_to(2, **changes))
    train_on(up_to(3), tmp_path / "cut", SPLITS, FRAMES)
    train_in_two(tmp_path / "cut", up_to(4, **changes))
    assert totals(tmp_path / "cut") == pytest.approx(totals(tmp_path / "whole"), abs=1e-4)
    first, second = load(tmp_path / "whole" / "last"), load(tmp_path / "cut" / "last")
    for name, weight in first.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, atol=2e-3, rtol=1e-2)

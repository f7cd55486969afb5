"""Resumption: a run cut in two, and what stays of a run that ends in an error."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from agent_core.config import (
    load_config,
)
from agent_core.errors import CheckpointError, ConfigError, TrainError
from agent_core.training.run_log import read_log
from agent_core.training.trainer import train_on
from agent_core.weights.checkpoint import load
from tests.agent_core.training.bright_episodes import FRAMES, MODEL, SPLITS, FakeEpisode, config


def test_a_run_cut_in_two_ends_like_one(tmp_path: Path) -> None:
    whole = train_on(config(4, lr_end=1.0, ema_decay=0.5), tmp_path / "whole", SPLITS, FRAMES)
    train_on(config(2, lr_end=1.0, ema_decay=0.5), tmp_path / "cut", SPLITS, FRAMES)
    cut = train_on(config(4, lr_end=1.0, ema_decay=0.5), tmp_path / "cut", SPLITS, FRAMES)
    assert whole.steps == cut.steps == 4
    # the budget of two steps anneals; with lr_end=1 the rate is constant and both are the same run
    curves = [
        [row["total"] for row in read_log(tmp_path / name) if row["split"] == "train"]
        for name in ("whole", "cut")
    ]
    assert curves[0] == pytest.approx(curves[1], abs=1e-5)
    first, second = load(tmp_path / "whole" / "last"), load(tmp_path / "cut" / "last")
    for name, weight in first.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, atol=2e-3, rtol=1e-2)
    assert (tmp_path / "cut" / "curves.png").exists()
    assert first.header.metadata["steps"] == 4
    assert (
        first.vocabulary.decode_text(first.vocabulary.text_ids("hit what is bright", 32))
        == "hit what is bright"
    )


@pytest.fixture(scope="module")
def three_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train_on(config(3), folder, SPLITS, FRAMES)
    return folder


@pytest.fixture
def run(three_steps: Path, tmp_path: Path) -> Path:
    """A copy of a good run of three steps, to go on with."""
    return shutil.copytree(three_steps, tmp_path / "run")


def saved(run_dir: Path, *names: str) -> dict[str, bytes]:
    files = [path for name in names for path in (run_dir / name).iterdir()]
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"no longer finite at step \d+; begin anew with --fresh"):
        train_on(config(30, lr=1e30), tmp_path, SPLITS, FRAMES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "the loss is no longer finite"),
        ({"validate_every_s": 0, "log_every": 99}, "the loss is no longer finite"),
        ({"save_every_s": 0, "log_every": 99}, "the weights are beyond half precision"),
    ],
    ids=["seen in training", "seen in validation", "seen before saving"],
)
def test_a_run_that_blows_up_loses_nothing_and_both_ways_out_work(
    run: Path, changes: dict[str, object], message: str
) -> None:
    before, best = saved(run, "best", "last", "state"), run / "best"
    with pytest.raises(TrainError, match=f"{message} at .* intact: .* train.init_from={best}"):
        train_on(config(30, lr=1e30, **changes), run, SPLITS, FRAMES)
    assert saved(run, "best", "last", "state") == before
    assert load(best).header.metadata["steps"] == 3
    assert train_on(config(4), run, SPLITS, FRAMES).steps == 4
    again = config(1, init_from=str(best))
    assert train_on(again, run.parent / "other", SPLITS, FRAMES).steps == 1


def test_bad_checkpoints_say_what_is_wrong(run: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        load(run / "missing")
    weights = run / "last" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged"):
        load(run / "last")
    (run / "last" / "config.json").write_text('{"format": 99}')
    with pytest.raises(CheckpointError, match="format 99"):
        load(run / "last")


def test_a_full_disk_is_said_and_what_was_saved_stays(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "state" / "state.safetensors").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(TrainError, match=r"No space left on device; what was saved .* intact"):
        train_on(config(4), run, SPLITS, FRAMES)
    monkeypatch.undo()
    assert (run / "state" / "state.safetensors").read_bytes() == before
    modes = {path.stat().st_mode for path in (run / "state").iterdir()}
    assert len(modes) == 1  # the weights' file follows the umask as the other does
    assert not list(run.glob("*.draft"))
    assert train_on(config(4), run, SPLITS, FRAMES).steps == 4


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_checkpoint_stays_where_writing_the_next_ends_half_way(
    run: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before, write = saved(run, name), safetensors.torch.save_file

    def half(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if not path.parent.name.startswith(name):
            write(tensors, path)
            return
        path.write_bytes(before[f"{name}/model.safetensors"][:999])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    with pytest.raises(TrainError, match=r"No space left on device; what was saved .* intact"):
        train_on(config(6), run, SPLITS, FRAMES)
    assert saved(run, name) == before
    assert load(run / name).header.metadata["steps"] == 3
    assert not list(run.glob("*.draft"))


def test_a_run_goes_on_after_a_kill_between_the_two_renames(run: Path) -> None:
    for name in ("state", "best", "last"):
        (run / name).replace(run / f"{name}.old")
    assert load(run / "best").header.metadata["steps"] == 3
    assert train_on(config(4), run, SPLITS, FRAMES).steps == 4
    assert load(run / "last").header.metadata["steps"] == 4


def test_a_fresh_run_takes_nothing_from_before_and_needs_a_budget(run: Path) -> None:
    before = saved(run, "best", "last", "state")
    with pytest.raises(ConfigError, match="set a budget"):
        train_on(config(0), run, SPLITS, FRAMES, resume=False)
    assert saved(run, "best", "last", "state") == before
    for name in ("state", "best", "last"):
        (run / name).replace(run / f"{name}.old")
    with pytest.raises(TrainError, match="no longer finite"):
        train_on(config(9, lr=1e30), run, SPLITS, FRAMES, resume=False)
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        load(run / "best")
    assert train_on(config(1), run, SPLITS, FRAMES).steps == 1


def test_only_a_run_that_begins_leaves_its_settings(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "config.toml").read_text()
    assert load_config(run / "config.toml") == config(3)
    smaller = config(4).model_copy(update={"model": MODEL.model_copy(update={"width": 16})})
    with pytest.raises(TrainError, match="another model"):
        train_on(smaller, run, SPLITS, FRAMES)
    assert (run / "config.toml").read_text() == before

    def full(path: Path, text: str, **_: object) -> None:
        path.write_bytes(text.encode()[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    for folder in (run, run.parent / "new"):
        with pytest.raises(TrainError, match=r"cannot write to .* No space left on device"):
            train_on(config(4), folder, SPLITS, FRAMES)
    assert (run / "config.toml").read_text() == before


def test_a_foreign_or_damaged_state_is_refused(tmp_path: Path) -> None:
    train_on(config(1), tmp_path, SPLITS, FRAMES)
    other = FakeEpisode(3)
    other.instructions = ["strike the light"] * 8
    with pytest.raises(TrainError, match="another model or data set"):
        train_on(config(2), tmp_path, {**SPLITS, "train": [*SPLITS["train"][:3], other]}, FRAMES)
    weights = tmp_path / "state" / "state.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(TrainError, match="is damaged"):
        train_on(config(2), tmp_path, SPLITS, FRAMES)


def test_a_spent_budget_adds_nothing(tmp_path: Path) -> None:
    first = train_on(config(2), tmp_path, SPLITS, FRAMES)
    rows = read_log(tmp_path)
    again = train_on(config(2), tmp_path, SPLITS, FRAMES)
    assert read_log(tmp_path) == rows
    assert again.action_nats_per_token == first.action_nats_per_token
    assert again.steps == 2

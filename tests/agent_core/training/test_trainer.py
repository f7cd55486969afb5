"""IAFM trainer: losses, micro-batches, validation, and what a run refuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from agent_core.agent import Agent
from agent_core.config import (
    DataConfig,
    LossConfig,
    RunConfig,
)
from agent_core.data.corpus import build_training_data
from agent_core.errors import ConfigError, TrainError
from agent_core.model import IAFM
from agent_core.model.batch import Batch
from agent_core.training.loss import losses
from agent_core.training.microbatch import sample_microbatch
from agent_core.training.run_log import read_log
from agent_core.training.schedule import learning_rate
from agent_core.training.trainer import train, train_on
from agent_core.weights.checkpoint import load
from bridges.policy import PolicyRequest
from games import Action
from games.voxel.spec import SPEC
from tests.agent_core.training.bright_episodes import (
    FRAMES,
    MODEL,
    SPLITS,
    FakeEpisode,
    config,
    totals,
)


@pytest.mark.parametrize("normalization", ["paper", "mean"])
def test_steps_lower_the_loss(normalization: str) -> None:
    corpus = build_training_data(config(1), SPLITS, FRAMES)
    torch.manual_seed(0)
    model = IAFM(MODEL, corpus.vocabulary.size)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    batch = corpus.dataset.sample(
        "train", 4, DataConfig(window_frames=4), torch.Generator().manual_seed(0)
    )
    totals = []
    for _ in range(4):
        loss = losses(model, batch, model(batch), LossConfig(normalization=normalization))
        optimiser.zero_grad()
        torch.autograd.backward(loss.total)
        optimiser.step()
        totals.append(loss.total.item())
    assert totals[-1] < 0.9 * totals[0]


def test_padding_changes_no_loss() -> None:
    corpus = build_training_data(config(1), SPLITS, FRAMES)
    torch.manual_seed(0)
    model = IAFM(MODEL, corpus.vocabulary.size).eval()
    batch = corpus.dataset.sample(
        "train", 4, DataConfig(window_frames=4), torch.Generator().manual_seed(0)
    )
    plain = losses(model, batch, model(batch), LossConfig())
    pad = torch.nn.functional.pad
    batch.instruction_ids, batch.thought_ids = (
        pad(batch.instruction_ids, (0, 5)),
        pad(batch.thought_ids, (0, 3)),
    )
    batch.actions = pad(batch.actions, (0, 4))
    padded = losses(model, batch, model(batch), LossConfig())
    for name in ("total", "language", "action"):
        assert getattr(padded, name).item() == pytest.approx(getattr(plain, name).item(), abs=1e-5)


def test_absent_frames_change_no_loss() -> None:
    corpus = build_training_data(config(1), SPLITS, FRAMES)
    model = IAFM(MODEL, corpus.vocabulary.size).eval()
    batch = corpus.dataset.sample(
        "train", 4, DataConfig(window_frames=4), torch.Generator().manual_seed(0)
    )
    batch.frame_mask[:, :2] = False
    before = losses(model, batch, model(batch), LossConfig()).total.item()
    batch.frames[:, :2] = 255 - batch.frames[:, :2]
    assert losses(model, batch, model(batch), LossConfig()).total.item() == pytest.approx(
        before, abs=1e-6
    )


@pytest.mark.parametrize(("normalization", "text_conditioning"), [("paper", False), ("mean", True)])
@pytest.mark.parametrize("changes", [{"accumulate": 4}, {"activation_checkpointing": True}])
def test_parts_and_recomputing_change_no_loss(
    tmp_path: Path, normalization: str, changes: dict[str, object], text_conditioning: bool
) -> None:
    model = MODEL.model_copy(update={"text_conditioning": text_conditioning})
    runs: dict[str, dict[str, object]] = {"plain": {}, "changed": changes}
    for name, part in runs.items():
        settings = config(4, precision="float32", **part)
        loss = LossConfig.model_validate({"normalization": normalization, "mae_clip_fraction": 0.5})
        settings = settings.model_copy(update={"loss": loss, "model": model})
        train_on(settings, tmp_path / name, SPLITS, FRAMES)
    assert totals(tmp_path / "changed") == pytest.approx(totals(tmp_path / "plain"), abs=1e-4)


def test_text_conditioning_may_be_added_to_trained_weights_and_not_taken_away(
    tmp_path: Path,
) -> None:
    plain = MODEL.model_copy(update={"text_conditioning": False})
    settings = config(1).model_copy(update={"model": plain})
    train_on(settings, tmp_path / "none", SPLITS, FRAMES)
    before = tmp_path / "none" / "last"
    settings = config(1, lr=1e-9, init_from=str(before))
    train_on(settings, tmp_path / "conditioned", SPLITS, FRAMES)
    after = load(tmp_path / "conditioned" / "last")
    assert after.model.text_conditioning is not None
    assert after.model.text_conditioning.proj.weight.abs().max() < 1e-6
    for name, weight in load(before).model.state_dict().items():
        torch.testing.assert_close(after.model.state_dict()[name], weight, atol=1e-3, rtol=1e-2)
    settings = config(1, init_from=str(after.path)).model_copy(update={"model": plain})
    with pytest.raises(TrainError, match="has other sizes"):
        train_on(settings, tmp_path / "back", SPLITS, FRAMES)


def test_validation_computes_no_more_at_once_than_training(tmp_path: Path) -> None:
    """And scores the same windows: here ten, of which training has four at once or one."""
    sizes: list[list[int]] = []
    rows: list[dict[str, Any]] = []

    def count(module: torch.nn.Module, inputs: tuple[Batch, ...]) -> None:
        if isinstance(module, IAFM) and not torch.is_grad_enabled():
            sizes[-1].append(len(inputs[0]))

    with register_module_forward_pre_hook(count):
        for name, accumulate in (("plain", 1), ("parts", 4)):
            sizes.append([])
            settings = config(1, accumulate=accumulate, validation_windows=10, precision="float32")
            train_on(settings, tmp_path / name, SPLITS, FRAMES)
            rows.append(read_log(tmp_path / name)[-1])
    assert sizes == [[4, 4, 2], [1] * 10]  # all instructions are the same: no others are tried
    assert rows[0]["split"] == rows[1]["split"] == "validation"
    for name in ("action_nats_per_token", "language", "exact_match", "change_accuracy"):
        assert rows[1][name] == pytest.approx(rows[0][name], abs=1e-4)


def test_nothing_to_compile_with_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="needs a C\\+\\+ compiler"):
        train_on(config(1, compile=True), tmp_path, SPLITS, FRAMES)


@pytest.mark.parametrize("shares", [(0.5,), (0.75,), (0.5, 0.75)])
def test_windows_lose_the_share_of_patches_asked_for(shares: tuple[float, ...]) -> None:
    loss = LossConfig(mae_clip_fraction=0.5, mae_mask_ratio=shares)
    settings = config(1, batch=64).model_copy(update={"loss": loss})
    store, hidden, shown = (
        build_training_data(settings, SPLITS, FRAMES).dataset,
        torch.zeros(2),
        torch.zeros(2),
    )
    for step in range(8):
        part = sample_microbatch(store, settings, step, slice(None), torch.float32)
        assert part.masked is not None
        assert len(part.masked.patches) == 32  # half of the windows
        assert part.masked.pictures.shape[0] == 32 * part.batch.frame_mask.shape[1]
        present = part.batch.frame_mask[:32]
        assert not part.masked.patches[~present].any()
        for k in range(2):
            hidden[k] += part.masked.patches[k::2].sum()
            shown[k] += present[k::2].sum() * MODEL.visual_tokens
    wanted = [shares[0], shares[-1]]  # in turn
    assert (hidden / shown).tolist() == pytest.approx(wanted, abs=0.03)


def weighing(weights: dict[str, float]) -> RunConfig:
    data = DataConfig.model_validate({"window_frames": 4, "task_weights": weights})
    return config(1).model_copy(update={"data": data})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"hti": 2}, "no task called 'hti'; did you mean 'hit'"),
        ({"dig_dwon": 2}, "no task called 'dig_dwon'; did you mean 'dig_down'"),
        ({"voxel/hti": 2}, "no task called 'voxel/hti'; did you mean 'voxel/hit'"),
        ({"hit": 0}, "leave no step to train on"),
    ],
)
def test_weights_of_no_task_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_training_data(weighing(weights), SPLITS, FRAMES)


def test_tasks_of_the_game_and_of_other_games_may_be_weighed() -> None:
    """One recipe serves recordings of a few tasks and of all."""
    names = ("hit", "voxel/hit", "dig_down", "free", "voxel/free", "pong/win_point")
    build_training_data(weighing(dict.fromkeys(names, 0.5)), SPLITS, FRAMES)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(TrainError, match=f"^{folder} cannot be a run's folder"):
            train(config(1), folder)


CYCLE: list[Action] = [{"forward": 1}, {"camera": (0.0, 9.0)}, {}, {"jump": 1, "attack": 1}]


class RoundEpisode(FakeEpisode):
    """Four actions in a fixed round; the brightness says which is due."""

    def __init__(self, seed: int, steps: int = 11) -> None:
        super().__init__(seed, steps)
        self.at = [(seed + step) % 4 for step in range(steps)]
        self.pictures = np.empty((steps, 16, 16, 3), np.uint8)
        self.pictures[:] = 60 * np.array(self.at, np.uint8)[:, None, None, None]
        self.actions = self.executed = [{**SPEC.null_action(), **CYCLE[k]} for k in self.at]


def test_a_chunk_foretells_the_next_actions(tmp_path: Path) -> None:
    splits = {"train": [RoundEpisode(k) for k in range(4)], "validation": [RoundEpisode(6)]}
    frames = np.concatenate([e.pictures for split in splits.values() for e in split])
    settings = config(200, batch=16, lr=5e-3, ema_decay=0.9, validation_windows=32).model_dump()
    settings["model"] |= {"action_chunk": 3, "max_action_tokens": 31, "context_frames": 1}
    settings["model"] |= {"frame_height": 16, "frame_width": 16, "pooled_grid": (1, 1)}
    settings["data"] |= {"mask_actions_prob": 1.0, "window_frames": 1, "thoughts": False}
    settings["loss"] |= {"mae_clip_fraction": 0.0}
    train_on(RunConfig.model_validate(settings), tmp_path, splits, frames)
    row = [row for row in read_log(tmp_path) if row["split"] == "validation"][-1]
    assert (row["exact_match"], row["exact_chunk"]) == (1.0, 1.0)
    agent = Agent.load(tmp_path / "last", temperature=0)
    player = agent.attach(SPEC)
    episode = RoundEpisode(1)
    for frame, due in zip(episode.pictures, episode.at, strict=True):
        (decision,) = agent.act([PolicyRequest(player, frame, episode.header.instruction)])
        actions = [decision.action, *(following.action for following in decision.later)]
        assert actions == [{**SPEC.null_action(), **CYCLE[(due + k) % 4]} for k in range(3)]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_rate_warms_up_and_ends_low(share: float) -> None:
    settings = config(100, lr=1e-2, lr_end=0.1, warmup_steps=10)
    assert learning_rate(settings, 0, 0.0) == pytest.approx(1e-3)
    expected = 1e-2 * (1 - 0.9 * share)  # a cosine is a line at its ends and its middle
    assert learning_rate(settings, 50, share) == pytest.approx(expected)

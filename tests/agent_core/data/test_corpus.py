"""Training data: both forms of the frame cache, warnings of texts that are cut."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from agent_core.baseline.trainer import train_baseline
from agent_core.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from agent_core.data.corpus import build_training_data, load_splits
from agent_core.training.run_log import read_log
from agent_core.training.trainer import train
from games.voxel.spec import SPEC
from recorder import CaptureError, CaptureInfo, CaptureWriter


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Episodes in which the bright is to be hit."""
    folder = tmp_path_factory.mktemp("data")
    for seed in range(6):
        random = np.random.default_rng(seed)
        about = CaptureInfo(instruction="hit what is bright", task="hit", seed=seed)
        with CaptureWriter.create(folder, SPEC, about) as capture:
            for bright in random.random(12) < 0.5:
                shade = random.integers(0, 20) + (200 if bright else 30)
                capture.step(np.full((72, 128, 3), shade, np.uint8), {"attack": int(bright)})
            capture.close(success=True)
    return folder


def config(data: Path, form: str, steps: int = 30, device: str = "cpu") -> RunConfig:
    small = {"width": 32, "layers": 1, "heads": 2, "stem_widths": (8, 8, 16)}
    sizes = {"frame_height": 24, "frame_width": 32, "pooled_grid": (1, 1), "context_frames": 2}
    return RunConfig(
        model=ModelConfig.model_validate({**small, **sizes, "text_vocab_size": 300}),
        data=DataConfig.model_validate(
            {"episodes": (str(data),), "validation": 0.3, "window_frames": 3, "cache_format": form}
        ),
        train=TrainConfig(
            steps=steps, minutes=0, validate_every_s=1e9, save_every_s=1e9,
            batch=8, lr=3e-3, warmup_steps=1, ema_decay=0.9, device=device,
            log_every=1, validation_windows=8,
        ),
    )  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_windows_from_jpegs_are_near_to_raw_ones(data: Path, tmp_path: Path, device: str) -> None:
    drawn = []
    for form in ("raw", "jpeg"):
        settings = config(data, form, device=device)
        store = build_training_data(settings, *load_splits(settings, tmp_path / form)).dataset
        generator = torch.Generator(store.device).manual_seed(0)
        drawn.append(store.sample("train", 16, settings.data, generator))
    raw, jpeg = drawn
    assert raw.frames.shape == jpeg.frames.shape == (16, 3, 24, 32, 3)
    assert raw.frames.device == jpeg.frames.device
    assert (raw.frames.int() - jpeg.frames.int()).abs().max() <= 3
    assert raw.frames.float().std() > 50
    assert torch.equal(raw.actions, jpeg.actions)


def test_training_on_jpegs_lowers_the_loss(data: Path, tmp_path: Path) -> None:
    train(config(data, "jpeg"), tmp_path, prefetch=True)
    assert (tmp_path / "cache" / "frames.jpegs").exists()
    totals = [row["total"] for row in read_log(tmp_path) if row["split"] == "train"]
    assert np.isfinite(totals).all()
    assert np.mean(totals[-5:]) < 0.7 * np.mean(totals[:5])
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("prefetch", "jpeg"))]


def test_the_baseline_learns_from_jpegs(data: Path, tmp_path: Path) -> None:
    train_baseline(config(data, "jpeg", 40), tmp_path)
    losses = [row["action_nats_per_token"] for row in read_log(tmp_path) if row["split"] == "train"]
    assert losses[-1] < 0.5 * losses[0]


def test_a_cache_cut_off_stops_training_with_its_name(data: Path, tmp_path: Path) -> None:
    settings = config(data, "jpeg", 1)
    train(settings, tmp_path)
    jpegs = tmp_path / "cache" / "frames.jpegs"
    jpegs.write_bytes(jpegs.read_bytes()[:-100])
    with pytest.raises(CaptureError, match=r"frames\.jpegs is damaged"):
        train(settings, tmp_path)


def test_instructions_beyond_the_models_room_are_warned_of(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = config(data, "raw")
    narrow = settings.model.model_copy(update={"max_text_tokens": 4, "text_vocab_size": 272})
    settings = settings.model_copy(update={"model": narrow})
    splits, frames, _ = load_splits(settings, tmp_path)
    build_training_data(config(data, "raw"), splits, frames)
    assert "instructions are cut" not in caplog.text
    vocabulary = build_training_data(settings, splits, frames).vocabulary
    length = len(vocabulary.encode_text("hit what is bright"))
    assert f"1 of 1 instructions are cut to 2 tokens, the longest has {length}" in caplog.text

"""Prefetching: the same batches with and without, errors of the thread, its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agent_core.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from agent_core.data.corpus import build_training_data
from agent_core.data.prefetch import Prefetcher
from agent_core.training.microbatch import MicroBatch, sample_microbatch
from agent_core.training.run_log import read_log
from agent_core.training.trainer import train_on
from games.voxel.spec import SPEC

CPU = torch.device("cpu")


class FakeEpisode:
    """Eight steps of noise."""

    spec = SPEC

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.pictures = random.integers(0, 255, (8, 16, 16, 3), np.uint8)
        self.actions = [{**SPEC.null_action(), "attack": int(k)} for k in random.integers(0, 2, 8)]
        self.executed = self.actions
        self.thoughts = self.captions = [""] * 8
        self.instructions = ["hit"] * 8
        self.by, self.observed = ["expert"] * 8, [True] * 8
        self.dropped_before: dict[int, int] = {}
        self.header = SimpleNamespace(instruction="hit", task="hit", seed=seed, success=True)

    def __len__(self) -> int:
        return 8


SPLITS = {"train": [FakeEpisode(k) for k in range(3)], "validation": [FakeEpisode(9)]}
FRAMES = np.concatenate([e.pictures for split in SPLITS.values() for e in split])


def config(steps: int, device: str = "cpu") -> RunConfig:
    sizes = {"frame_height": 16, "frame_width": 16, "pooled_grid": (1, 1), "context_frames": 2}
    small = {"width": 16, "layers": 1, "heads": 2, "stem_widths": (8, 8, 8), "text_vocab_size": 300}
    return RunConfig(
        model=ModelConfig.model_validate({**sizes, **small}),
        data=DataConfig(window_frames=3, color_jitter=0.3),
        train=TrainConfig(
            steps=steps,
            minutes=0,
            validate_every_s=1e9,
            save_every_s=1e9,
            batch=4,
            device=device,
            validation_windows=4,
            log_every=1,
        ),
    )


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


class BreakingFrames:
    """Frames of which the nth read ends in what `fault` does."""

    def __init__(self, fault: Callable[[], None], at: int) -> None:
        self.shape, self.fault, self.at, self.reads = FRAMES.shape, fault, at, 0

    def __len__(self) -> int:
        return len(FRAMES)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        self.reads += 1
        if self.reads == self.at:
            assert prefetch_threads()
            self.fault()
        return FRAMES[indices]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("in_main_memory", [False, True])
@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_fed_is_what_would_be_drawn(
    device: str, in_main_memory: bool, ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_main_memory and device == "cuda":  # as where the GPU has no room for them
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 0))
    settings = config(1, device)
    store = build_training_data(settings, SPLITS, FRAMES).dataset

    def draw(step: int) -> MicroBatch:
        return sample_microbatch(store, settings, step, slice(None, None, 2), torch.float32)

    with Prefetcher(draw, store.device, ahead) as prefetcher:
        for step in (3, 4, 5, 9, 10):
            fed, drawn = prefetcher.get(step), draw(step)
            assert torch.equal(fed.batch.frames, drawn.batch.frames)
            assert torch.equal(fed.batch.actions, drawn.batch.actions)
            assert fed.pictures is not None
            assert drawn.pictures is not None
            assert torch.equal(fed.pictures, drawn.pictures)
            assert fed.masked is not None
            assert drawn.masked is not None
            assert torch.equal(fed.masked.patches, drawn.masked.patches)


def test_the_next_step_is_drawn_before_it_is_asked_for() -> None:
    begun = threading.Event()

    def draw(step: int) -> int:
        if step == 8:
            begun.set()
        return step

    with Prefetcher(draw, CPU, True) as prefetcher:
        assert prefetcher.get(7) == 7
        assert begun.wait(60)
    assert not prefetch_threads()


def test_only_waiting_counts() -> None:
    """By a clock that only the first batch moves on."""
    now = [0.0]

    def load(step: int) -> None:
        now[0] += 3.0 if step == 0 else 0.0

    with Prefetcher(load, CPU, True, clock=lambda: now[0]) as prefetcher:
        for step in range(3):
            prefetcher.get(step)
        assert prefetcher.data_wait_s == 3.0


def broken(step: int) -> int:
    if step == 2:
        raise ValueError("no such frame")
    return step


def test_what_goes_wrong_in_the_thread_is_raised_where_it_is_asked_for() -> None:
    with Prefetcher(broken, CPU, True) as prefetcher:
        assert [prefetcher.get(0), prefetcher.get(1)] == [0, 1]
        with pytest.raises(ValueError, match="no such frame"):
            prefetcher.get(2)
    assert not prefetch_threads()


def test_no_thread_is_left_behind_by_ctrl_c(tmp_path: Path) -> None:
    frames = BreakingFrames(lambda: signal.raise_signal(signal.SIGINT), at=3)
    report = train_on(config(40), tmp_path, SPLITS, frames, prefetch=True)
    assert report.interrupted
    assert report.steps < 40
    assert not prefetch_threads()


def test_no_thread_is_left_behind_by_an_error(tmp_path: Path) -> None:
    def fault() -> None:
        raise ValueError("no such frame")

    with pytest.raises(ValueError, match="no such frame"):
        train_on(config(4), tmp_path, SPLITS, BreakingFrames(fault, at=3), prefetch=True)
    assert not prefetch_threads()


@pytest.mark.parametrize("ahead", [False, True])
def test_the_log_says_what_share_of_the_time_was_waited_for_data(
    ahead: bool, tmp_path: Path
) -> None:
    train_on(config(3), tmp_path, SPLITS, FRAMES, prefetch=ahead)
    shares = [row["data_wait"] for row in read_log(tmp_path) if row["split"] == "train"]
    assert len(shares) == 3
    assert all(0 <= share <= 1 for share in shares)
    assert shares[0] > 0  # nothing was drawn ahead of the first step


def test_a_run_learns_the_same_whoever_draws(tmp_path: Path) -> None:
    curves = []
    for ahead in (False, True):
        folder = tmp_path / str(ahead)
        train_on(config(4), folder, SPLITS, FRAMES, prefetch=ahead)
        curves.append([row["total"] for row in read_log(folder) if row["split"] == "train"])
    assert len(curves[0]) == 4
    assert curves[0] == curves[1]


@pytest.mark.gpu
def test_a_gpu_learns_from_frames_in_main_memory_as_from_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_on(config(4, "cuda"), tmp_path / "device", SPLITS, FRAMES)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 0))
    train_on(config(4, "cuda"), tmp_path / "main", SPLITS, FRAMES)
    of_device, of_main = (
        [row["total"] for row in read_log(tmp_path / name) if row["split"] == "train"]
        for name in ("device", "main")
    )
    assert of_main == pytest.approx(of_device, rel=1e-2)


@pytest.mark.gpu
def test_bfloat16_on_a_gpu_lowers_the_loss(tmp_path: Path) -> None:
    train = config(30, "cuda").train.model_copy(
        update={"precision": "bfloat16", "lr": 3e-3, "warmup_steps": 1}
    )
    settings = config(30, "cuda").model_copy(update={"train": train})
    train_on(settings, tmp_path, SPLITS, FRAMES)
    totals = [row["total"] for row in read_log(tmp_path) if row["split"] == "train"]
    assert np.isfinite(totals).all()
    assert np.mean(totals[-5:]) < 0.9 * np.mean(totals[:5])

"""Is the next batch drawn while this one computes, the same as without, and does its thread end with the run?"""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agent_core.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from agent_core.data.corpus import build_training_data
from agent_core.data.prefetch import Prefetcher
from agent_core.training.microbatch import sample_microbatch
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
        self.info = SimpleNamespace(instruction="hit", task="hit", seed=seed, success=True)

    def __len__(self) -> int:
        return 8


PARTS = {"train": [FakeEpisode(k) for k in range(3)], "validation": [FakeEpisode(9)]}
FRAMES = np.concatenate([e.pictures for part in PARTS.values() for e in part])


def config(steps: int, device: str = "cpu") -> RunConfig:
    sizes = {"frame_height": 16, "frame_width": 16, "pooled_grid": (1, 1), "context_frames": 2}
    small = {"width": 16, "layers": 1, "heads": 2, "stem_widths": (8, 8, 8), "text_vocab_size": 300}
    return RunConfig(
        model=ModelConfig.model_validate({**sizes, **small}),
        data=DataConfig(window_frames=3, color_jitter=0.3),
        train=TrainConfig(
            steps=steps, minutes=0, batch=4, device=device, validation_windows=4, log_every=1
        ),
    )


def feeding_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("feeding")]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("in_main_memory", [False, True])
@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_fed_is_what_would_be_drawn(
    device: str, in_main_memory: bool, ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_main_memory and device == "cuda":  # as where the GPU has no room for them
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 0))
    settings = config(1, device)
    store = build_training_data(settings, PARTS, FRAMES).dataset

    def draw(step: int) -> object:
        return sample_microbatch(store, settings, step, slice(None, None, 2), torch.float32)

    with Prefetcher(draw, store.device, ahead) as feeder:
        for step in (3, 4, 5, 9, 10):
            fed, drawn = feeder.get(step), draw(step)
            assert torch.equal(fed.batch.frames, drawn.batch.frames)
            assert torch.equal(fed.batch.actions, drawn.batch.actions)
            assert torch.equal(fed.pictures, drawn.pictures)
            assert torch.equal(fed.masked.patches, drawn.masked.patches)


def test_the_next_step_is_drawn_before_it_is_asked_for() -> None:
    begun = threading.Event()

    def draw(step: int) -> int:
        if step == 8:
            begun.set()
        return step

    with Prefetcher(draw, CPU, True) as feeder:
        assert feeder.get(7) == 7
        assert begun.wait(60)
    assert not feeding_threads()


def test_only_waiting_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the first draw moves on."""
    now = [0.0]
    monkeypatch.setattr("agent_core.data.prefetch.time.monotonic", lambda: now[0])

    def draw(step: int) -> None:
        now[0] += 3.0 if step == 0 else 0.0

    with Prefetcher(draw, CPU, True) as feeder:
        for step in range(3):
            feeder.get(step)
        assert feeder.data_wait_s == 3.0


def broken(step: int) -> int:
    if step == 2:
        raise ValueError("no such frame")
    return step


def test_what_goes_wrong_in_the_thread_is_raised_where_it_is_asked_for() -> None:
    with Prefetcher(broken, CPU, True) as feeder:
        assert [feeder.get(0), feeder.get(1)] == [0, 1]
        with pytest.raises(ValueError, match="no such frame"):
            feeder.get(2)
    assert not feeding_threads()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_no_thread_is_left_behind(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends a run in order, what went wrong while drawing ends it at once."""
    before = sample_microbatch

    def draw(store: object, config: object, step: int, *rest: object) -> object:
        if step == 2:
            assert feeding_threads()
            raise error("drawing")
        return before(store, config, step, *rest)

    monkeypatch.setattr("agent_core.training.trainer.draw_part", draw)
    monkeypatch.setattr("agent_core.training.trainer.can_draw_ahead", lambda _: True)
    if error is KeyboardInterrupt:
        report = train_on(config(4), tmp_path, PARTS, FRAMES)
        assert (report.interrupted, report.steps) == (True, 2)
    else:
        with pytest.raises(error, match="drawing"):
            train_on(config(4), tmp_path, PARTS, FRAMES)
    assert not feeding_threads()


@pytest.mark.parametrize("ahead", [False, True])
def test_the_log_says_what_share_of_the_time_was_waited_for_data(
    ahead: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_core.training.trainer.can_draw_ahead", lambda _: ahead)
    train_on(config(3), tmp_path, PARTS, FRAMES)
    shares = [row["data_wait"] for row in read_log(tmp_path) if row["part"] == "train"]
    assert len(shares) == 3
    assert all(0 <= share <= 1 for share in shares)
    assert shares[0] > 0  # nothing was drawn ahead of the first step


def test_a_run_learns_the_same_whoever_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = []
    for ahead in (False, True):
        monkeypatch.setattr(
            "agent_core.training.trainer.can_draw_ahead", lambda _, ahead=ahead: ahead
        )
        folder = tmp_path / str(ahead)
        train_on(config(4), folder, PARTS, FRAMES)
        curves.append([row["total"] for row in read_log(folder) if row["part"] == "train"])
    assert len(curves[0]) == 4
    assert curves[0] == curves[1]


@pytest.mark.gpu
def test_a_gpu_learns_from_frames_in_main_memory_as_from_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_on(config(4, "cuda"), tmp_path / "own", PARTS, FRAMES)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 0))
    train_on(config(4, "cuda"), tmp_path / "main", PARTS, FRAMES)
    own, main = (
        [row["total"] for row in read_log(tmp_path / name) if row["part"] == "train"]
        for name in ("own", "main")
    )
    assert main == pytest.approx(own, rel=1e-2)


@pytest.mark.gpu
def test_bfloat16_on_a_gpu_lowers_the_loss(tmp_path: Path) -> None:
    train = config(30, "cuda").train.model_copy(
        update={"precision": "bfloat16", "lr": 3e-3, "warmup_steps": 1}
    )
    settings = config(30, "cuda").model_copy(update={"train": train})
    train_on(settings, tmp_path, PARTS, FRAMES)
    totals = [row["total"] for row in read_log(tmp_path) if row["part"] == "train"]
    assert np.isfinite(totals).all()
    assert np.mean(totals[-5:]) < 0.9 * np.mean(totals[:5])

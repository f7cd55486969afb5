"""Training loop: what Ctrl-C, SIGTERM and a second run leave behind, for both networks."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent_core.baseline.network import load as load_baseline
from agent_core.baseline.trainer import train_baseline_on
from agent_core.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from agent_core.errors import TrainError
from agent_core.training.report import TrainReport
from agent_core.training.run_dir import locked_run_dir
from agent_core.training.run_log import read_log
from agent_core.training.trainer import train_on
from agent_core.weights.checkpoint import load
from games.voxel.spec import SPEC

WORDS = ("hit", "walk on")


class FakeEpisode:
    """Eight steps of noise; what is to be done depends on the words, or on nothing seen where `random`."""

    spec = SPEC

    def __init__(self, seed: int, words: str = "", random: bool = False) -> None:
        generator = np.random.default_rng(seed)
        words = words or WORDS[seed % 2]
        self.pictures = generator.integers(0, 255, (8, 16, 16, 3), np.uint8)
        does = {"attack": 1} if words == "hit" else {"forward": 1}
        self.actions = [{**SPEC.null_action(), **({"jump": 1} if random else does)}] * 8
        self.executed = self.actions
        self.thoughts = self.captions = [""] * 8
        self.instructions = [words] * 8
        self.by, self.observed = ["expert"] * 8, [True] * 8
        self.dropped_before: dict[int, int] = {}
        self.header = SimpleNamespace(instruction=words, task="hit", seed=seed, success=True)

    def __len__(self) -> int:
        return 8


Splits = dict[str, Sequence[FakeEpisode]]
SPLITS: Splits = {
    "train": [FakeEpisode(k) for k in range(4)],
    "validation": [FakeEpisode(8), FakeEpisode(9)],
}
VALIDATION_READS = 4
"""Batches of one validation: 12 windows, 4 at a time; the first 3 windows, with other instructions too, are one."""


def frames_of(splits: Splits) -> NDArray[np.uint8]:
    return np.concatenate([e.pictures for split in splits.values() for e in split])


class Frames:
    """Frames that send a signal to this process at given reads: a batch is one read."""

    def __init__(self, signals: dict[int, signal.Signals], splits: Splits = SPLITS) -> None:
        self.frames, self.signals, self.reads = frames_of(splits), signals, 0
        self.shape = self.frames.shape

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        self.reads += 1
        if self.reads in self.signals:
            signal.raise_signal(self.signals[self.reads])
        return self.frames[indices]


NEVER_S = 1e9
"""So that no clock decides when a run validates or saves."""


def config(steps: int, **changes: object) -> RunConfig:
    settings = {
        "steps": steps, "batch": 4, "device": "cpu", "validation_windows": 12, "log_every": 1, "warmup_steps": 1,
        "precision": "float32", "validate_every_s": NEVER_S, "save_every_s": NEVER_S, **changes,
    }  # fmt: skip
    return RunConfig(
        model=ModelConfig(
            width=16, layers=1, heads=2, stem_widths=(8, 8, 8), text_vocab_size=300, frame_height=16, frame_width=16,
            pooled_grid=(1, 1), context_frames=2,
        ),
        data=DataConfig(window_frames=3, color_jitter=0.3),
        train=TrainConfig.model_validate(settings),
    )  # fmt: skip


Train = Callable[..., TrainReport]
NETWORKS = [
    pytest.param(lambda *args, **given: train_on(*args, prefetch=False, **given), id="iafm"),
    pytest.param(train_baseline_on, id="cnn-gru"),
]
both = pytest.mark.parametrize("train", NETWORKS)


def rows(run_dir: Path, split: str) -> list[dict[str, Any]]:
    return [row for row in read_log(run_dir) if row["split"] == split]


def losses(run_dir: Path) -> list[float]:
    return [row["action_nats_per_token"] for row in rows(run_dir, "train")]


def metadata(folder: Path) -> dict[str, Any]:
    header = json.loads((folder / "config.json").read_text())
    return dict((load_baseline if "kind" in header else load)(folder).header.metadata)


@both
@pytest.mark.parametrize(
    ("number", "code", "validations"), [(signal.SIGINT, 130, 1), (signal.SIGTERM, 143, 0)]
)
def test_a_signal_saves_what_was_learned(
    train: Train, number: signal.Signals, code: int, validations: int, tmp_path: Path
) -> None:
    """Ctrl-C validates after it has saved; SIGTERM leaves that to the next run."""
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    report = train(config(6), tmp_path, SPLITS, Frames({3: number}))
    assert (report.interrupted, report.steps, report.exit_code) == (True, 3, code)
    assert metadata(tmp_path / "last")["steps"] == 3
    assert len(rows(tmp_path, "validation")) == validations
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    report = train(config(6), tmp_path, SPLITS, Frames({}))
    assert (report.interrupted, report.steps, report.exit_code) == (False, 6, 0)
    assert [row["step"] for row in rows(tmp_path, "validation")] == [3, 6]


@both
def test_a_run_cut_by_ctrl_c_ends_like_one(train: Train, tmp_path: Path) -> None:
    """Also its learning rates: the schedule of the same budget goes on as if nothing had happened."""
    train(config(6), tmp_path / "whole", SPLITS, Frames({}))
    train(config(6), tmp_path / "cut", SPLITS, Frames({3: signal.SIGINT}))
    train(config(6), tmp_path / "cut", SPLITS, Frames({}))
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), abs=1e-5)
    rates = [[row["lr"] for row in rows(tmp_path / n, "train")] for n in ("whole", "cut")]
    assert rates[1] == pytest.approx(rates[0])


@both
def test_saved_is_said_once_it_is_true(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    states: list[bool] = []

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "saved" in record.getMessage():
                states.append((tmp_path / "state" / "state.json").exists())

    caplog.set_level(logging.INFO, "iafm.train")
    logging.getLogger("iafm.train").addHandler(watch := Watch())
    train(config(6), tmp_path, SPLITS, Frames({2: signal.SIGINT}))
    logging.getLogger("iafm.train").removeHandler(watch)
    assert states == [True]
    messages = [m for m in caplog.messages if "saved" in m or "validation at" in m]
    assert "SIGINT: saved at step 2, run again to go on" in messages[0]
    assert "validation at step 2" in messages[1]


@both
def test_ctrl_c_twice_skips_only_the_validation(train: Train, tmp_path: Path) -> None:
    report = train(config(6), tmp_path, SPLITS, Frames({3: signal.SIGINT, 5: signal.SIGINT}))
    assert (report.steps, report.best_step, report.exit_code) == (3, -1, 130)
    assert report.best == tmp_path / "last"
    assert metadata(report.best)["steps"] == 3
    assert train(config(6), tmp_path, SPLITS, Frames({})).steps == 6
    assert [row["step"] for row in rows(tmp_path, "validation")] == [3, 6]


@both
def test_a_validation_that_was_cut_is_made_up_for(train: Train, tmp_path: Path) -> None:
    """The best weights are those that one undisturbed run finds."""
    train(config(4), tmp_path / "whole", SPLITS, Frames({}))
    in_validation = 4 + 2
    report = train(config(4), tmp_path / "cut", SPLITS, Frames({in_validation: signal.SIGINT}))
    assert (report.steps, report.best_step, report.interrupted) == (4, -1, True)
    assert not rows(tmp_path / "cut", "validation")
    report = train(config(4), tmp_path / "cut", SPLITS, frames := Frames({}))
    assert (report.steps, report.best_step) == (4, 4)
    assert frames.reads == VALIDATION_READS
    scores = [rows(tmp_path / name, "validation")[0] for name in ("whole", "cut")]
    for row in scores:
        del row["seconds"]
    assert scores[1] == pytest.approx(scores[0], abs=1e-5)


@both
def test_a_periodic_validation_that_is_cut_ends_the_run_in_order(
    train: Train, tmp_path: Path
) -> None:
    """Reads: a step, then three of validation, and so on."""
    settings = config(9, validate_every_s=0)
    report = train(settings, tmp_path, SPLITS, Frames({2: signal.SIGTERM}))
    assert (report.steps, report.exit_code) == (1, 143)
    report = train(settings, tmp_path, SPLITS, Frames({}))
    assert [row["step"] for row in rows(tmp_path, "validation")] == list(range(1, 10))


@both
def test_a_worse_run_keeps_the_best(train: Train, tmp_path: Path) -> None:
    """Resumed with a learning rate that ruins it."""
    first = train(config(20, lr=3e-3), tmp_path, SPLITS, frames_of(SPLITS))
    again = train(config(22, lr=30.0, lr_end=1.0), tmp_path, SPLITS, frames_of(SPLITS))
    assert again.steps == 22
    assert again.best_step == first.best_step == 20
    assert metadata(tmp_path / "best")["steps"] == 20
    assert metadata(tmp_path / "last")["steps"] == 22


@both
def test_a_checkpoint_without_a_state_is_not_overwritten(train: Train, tmp_path: Path) -> None:
    train(config(1), tmp_path, SPLITS, frames_of(SPLITS))
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    with pytest.raises(TrainError, match=r"holds a checkpoint but no state/ .* --fresh"):
        train(config(2), tmp_path, SPLITS, frames_of(SPLITS))
    assert train(config(2), tmp_path, SPLITS, frames_of(SPLITS), resume=False).steps == 2


@both
def test_two_runs_do_not_share_a_folder(train: Train, tmp_path: Path) -> None:
    with (
        locked_run_dir(tmp_path),
        pytest.raises(TrainError, match=r"process \d+ trains in .*; wait for it, or .* --run"),
    ):
        train(config(1), tmp_path, SPLITS, frames_of(SPLITS))
    assert train(config(1), tmp_path, SPLITS, frames_of(SPLITS)).steps == 1


@both
@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("data", {"window_frames": 2}, "data.window_frames was 3, now 2"),
        ("model", {"width": 32}, "model.width was 16, now 32"),
        ("loss", {"action": 2.0}, "loss.action was 1.0, now 2.0"),
        ("train", {"seed": 5}, "train.seed was 0, now 5"),
    ],
)
def test_other_settings_do_not_resume(
    train: Train, section: str, changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    train(config(1), tmp_path, SPLITS, frames_of(SPLITS))
    part = getattr(config(2), section).model_copy(update=changes)
    other = config(2).model_copy(update={section: part})
    with pytest.raises(TrainError, match=f"{message}; take another folder .* or .* --fresh"):
        train(other, tmp_path, SPLITS, frames_of(SPLITS))


@both
def test_other_episodes_do_not_resume(train: Train, tmp_path: Path) -> None:
    train(config(1), tmp_path, SPLITS, frames_of(SPLITS))
    more: Splits = {**SPLITS, "train": [*SPLITS["train"], FakeEpisode(6)]}
    with pytest.raises(
        TrainError, match="began with 6 episodes of 48 steps, these are 7 episodes of 56 steps; "
    ):
        train(config(2), tmp_path, more, frames_of(more))
    moved: Splits = {
        "train": SPLITS["train"][:3],
        "validation": [SPLITS["train"][3], *SPLITS["validation"]],
    }
    with pytest.raises(TrainError, match="another model or data set"):
        train(config(2), tmp_path, moved, frames_of(moved))


def test_one_network_does_not_resume_another(tmp_path: Path) -> None:
    train_on(config(1), tmp_path, SPLITS, frames_of(SPLITS))
    with pytest.raises(TrainError, match="holds an IAFM; take another folder"):
        train_baseline_on(config(2), tmp_path, SPLITS, frames_of(SPLITS))


@both
def test_an_extended_run_goes_on_at_its_final_rate(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for steps in (5, 10):
        train(config(steps, lr=1e-2, lr_end=0.1), tmp_path, SPLITS, frames_of(SPLITS))
    rates = [row["lr"] for row in rows(tmp_path, "train")]
    assert len(rates) == 10
    assert rates[5:] == pytest.approx([1e-3] * 5)
    assert all(later <= earlier for earlier, later in pairwise(rates))
    assert "training goes on at 0.001; for a rate that falls again" in caplog.text


@both
def test_a_longer_budget_stretches_the_rest_of_the_schedule(train: Train, tmp_path: Path) -> None:
    train(config(6, lr=1e-2), tmp_path, SPLITS, Frames({3: signal.SIGTERM}))
    train(config(12, lr=1e-2), tmp_path, SPLITS, frames_of(SPLITS))
    rates = [row["lr"] for row in rows(tmp_path, "train")]
    assert len(rates) == 12
    assert all(later < earlier for earlier, later in pairwise(rates))


@both
def test_a_long_seed_trains(train: Train, tmp_path: Path) -> None:
    for seed in (12345678901234, (1 << 63) - 1):
        folder = tmp_path / str(seed)
        assert train(config(2, seed=seed), folder, SPLITS, frames_of(SPLITS)).steps == 2
    first, second = (losses(folder) for folder in sorted(tmp_path.iterdir()))
    assert first != second


@both
def test_the_report_counts_windows_and_passes_and_warns_of_few_steps(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = train(config(12), tmp_path, SPLITS, frames_of(SPLITS))
    assert (report.steps, report.windows, report.epochs) == (12, 48, 1.5)
    assert report.warnings[0].startswith("only 12 steps (48 windows, 1.5 passes over the data)")
    assert report.warnings[0] in caplog.text


@both
def test_runs_are_logged_in_units_that_can_be_compared(train: Train, tmp_path: Path) -> None:
    """Also where a run is resumed: windows, frames in them and seconds go on."""
    for steps in (2, 4):
        report = train(config(steps), tmp_path, SPLITS, frames_of(SPLITS))
    for row in (*rows(tmp_path, "train"), *rows(tmp_path, "validation")):
        assert row["windows"] == 4 * row["step"]
        in_window = row["frames"] / row["windows"]
        assert in_window == 8 if train is train_baseline_on else 1 < in_window <= 3
    seconds = [row["seconds"] for row in rows(tmp_path, "train")]
    assert seconds == sorted(seconds)
    assert report.frames == row["frames"]
    assert rows(tmp_path, "train")[-1]["frames_per_s"] > 0


@pytest.mark.slow
@both
def test_words_that_matter_are_told_from_words_that_do_not(train: Train, tmp_path: Path) -> None:
    settings = config(150, lr=5e-3, ema_decay=0.9, log_every=50)
    for name, random in (("words", False), ("none", True)):
        splits: Splits = {
            "train": [FakeEpisode(k, random=random) for k in range(4)],
            "validation": [FakeEpisode(k, random=random) for k in (8, 9)],
        }
        report = train(settings, tmp_path / name, splits, frames_of(splits))
        (row,) = rows(tmp_path / name, "validation")
        ignored = [
            line for line in report.warnings if "instructions make no certain difference" in line
        ]
        assert row["exact_match"] == report.exact_match == 1.0
        if random:
            assert row["exact_match_swapped"] == row["exact_match_no_words"] == 1.0
            assert ignored
        else:
            assert row["exact_match_swapped"] == 0.0
            assert row["exact_match_no_words"] < 1.0
            assert not ignored


@both
def test_the_last_validation_spends_no_budget(train: Train, tmp_path: Path) -> None:
    """State is saved before it begins, and the time counted is the same after it."""
    saved: list[float] = []

    class Spy(Frames):
        def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
            if (state := tmp_path / "state" / "state.json").exists():
                saved.append(json.loads(state.read_text())["progress"]["seconds"])
            return super().read(indices)

    report = train(config(2), tmp_path, SPLITS, Spy({}))
    assert len(saved) == VALIDATION_READS
    assert report.minutes == saved[0] / 60

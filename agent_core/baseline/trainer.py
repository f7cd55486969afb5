"""How does the plain CNN+GRU learn? From the same episodes, seeds and minutes as the IAFM, by sequences of steps.

`iafm train agent_core/recipes/voxel-tiny.toml --baseline --run runs/baseline`

In a run's folder: config.toml, best/ (the lowest validation loss), last/, log.jsonl, tensorboard/, curves.png.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from agent_core.baseline.network import ActionHeads, CnnGru, Sizes, make_header
from agent_core.config import ConfigError, RunConfig
from agent_core.data.corpus import TrainingData, build_training_data, load_splits
from agent_core.data.dataset import WindowDataset
from agent_core.device import half_precision, keep_freed_memory
from agent_core.progress_bar import ProgressBar
from agent_core.training.optimizer import learning_rate, make_optimizer, update_ema
from agent_core.training.progress import ProgressReporter, progress_bar
from agent_core.training.resume import TrainError, create_run_dir
from agent_core.training.run_log import RunLog, draw_curves
from agent_core.weights.checkpoint import save
from recorder.format.atomic import write_atomic

SEQUENCE_LENGTH = 16
"""Consecutive steps that one training sequence has; memory is empty before them, as at an episode's beginning."""

logger = logging.getLogger("iafm.train")


@dataclass(frozen=True)
class BaselineReport:
    """What a run came to; validation numbers are those of the best checkpoint, losses in nats per action."""

    best: Path
    steps: int
    minutes: float
    best_step: int
    action_loss: float
    exact_match: float
    change_accuracy: float
    frames_per_s: float
    parameters: int
    interrupted: bool = False


@dataclass(frozen=True)
class Sequences:
    """B sequences of N consecutive steps."""

    frames: Tensor
    """(B, N, H, W, 3) uint8."""
    text: Tensor
    """(B, W) ids."""
    target_actions: Tensor
    """(B, N, A) ids of the wanted actions."""
    frame_mask: Tensor
    """(B, N) bool; steps after an episode's end are absent."""
    target_index: Tensor
    """(B,) place of the step that was drawn; the ones before it lead up to it, the ones after it follow."""
    changed: Tensor
    """(B,) bool: the drawn step's action differs from the one before."""


def train_baseline(config: RunConfig, run_dir: Path) -> BaselineReport:
    """Train by the configuration's data, budget and optimiser; what else it says is for the IAFM.

    Raises `ConfigError`, `CaptureError` (no data) or `TrainError` (the loss is no longer finite, the disk is full).
    """
    _check(config, run_dir)
    create_run_dir(run_dir)
    keep_freed_memory()
    corpus = build_training_data(config, *load_splits(config, run_dir))
    cloning = BaselineTrainer(config, run_dir, corpus)
    try:
        write_atomic(run_dir / "config.toml", config.toml())
        return cloning.run()
    except (OSError, SafetensorError) as error:
        raise TrainError(f"cannot write to {run_dir}: {error}") from None


def _check(config: RunConfig, run_dir: Path) -> None:
    settings = config.train
    if not (settings.steps or settings.minutes):
        raise ConfigError("set a budget: train.steps or train.minutes")
    if given := settings.init_from or settings.clip_weights or settings.opt_weights:
        raise ConfigError(f"the CNN+GRU begins with random weights, it cannot start from {given}")
    if (run_dir / "state").exists():
        raise TrainError(f"{run_dir} holds a run of the IAFM; take another folder with --run")


def sample_sequences(
    dataset: WindowDataset, split: str, size: int, generator: torch.Generator
) -> Sequences:
    """Sequences around steps drawn by the same weights as the IAFM's windows (`DataConfig`)."""
    total = dataset.cumulative_weights[split]
    chance = torch.rand(size, generator=generator, device=dataset.device, dtype=torch.float64)
    last = torch.searchsorted(total, chance * total[-1], right=True).clamp(max=len(total) - 1)
    begin = torch.maximum(last - SEQUENCE_LENGTH + 1, dataset.episode_start[last])
    steps = begin[:, None] + torch.arange(SEQUENCE_LENGTH, device=dataset.device)
    inside = steps.clamp(max=len(dataset.episode_index) - 1)
    episode = dataset.episode_index[last]
    present = (steps == inside) & (dataset.episode_index[inside] == episode[:, None])
    return Sequences(
        dataset.read_frames(inside),
        dataset.texts[episode],
        dataset.first_action(dataset.target_actions[inside]),
        present,
        last - begin,
        dataset.action_changed(last),
    )


class BaselineTrainer:
    """One run's model, optimiser and progress."""

    def __init__(self, config: RunConfig, run_dir: Path, corpus: TrainingData) -> None:
        self.config, self.run_dir, self.corpus = config, run_dir, corpus
        self.device = corpus.dataset.device
        self.choices = ActionHeads(corpus.vocabulary)
        if not self.choices.sizes:
            raise ConfigError("nothing is done in these episodes, so there is nothing to clone")
        model = config.model
        self.sizes = Sizes(
            frame_height=model.frame_height,
            frame_width=model.frame_width,
            max_text_tokens=model.max_text_tokens,
        )
        torch.manual_seed(config.train.seed)
        self.model, self.ema_model = self._new(), self._new()
        self.ema_model.load_state_dict(self.model.state_dict())
        self.ema_model.requires_grad_(False).eval()
        self.optimizer = make_optimizer(self.model, config)
        self.half = half_precision(config.train.precision, self.device)
        self.step = 0
        self.best: dict[str, float] = {}
        self.best_step = -1
        self.started = time.monotonic()

    def _new(self) -> CnnGru:
        outputs = sum(self.choices.sizes)
        model = CnnGru(self.sizes, self.corpus.vocabulary.text_size, outputs).to(self.device)
        model.eye.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def run(self) -> BaselineReport:
        """Train until the budget is spent or Ctrl-C; what was learned is saved in both cases."""
        interrupted = False
        self.started = time.monotonic()
        with RunLog(self.run_dir) as log, progress_bar(True) as bar:
            try:
                self._loop(log, bar)
            except KeyboardInterrupt:
                interrupted = True
                logger.warning("interrupted at step %d; saved", self.step)
            spent = self.seconds
            self._validate(log)
        self._save("last")
        draw_curves(self.run_dir)
        return BaselineReport(
            self.run_dir / "best",
            self.step,
            spent / 60,
            self.best_step,
            self.best["action"],
            self.best["exact_match"],
            self.best["change_accuracy"],
            self.step * self.config.train.batch * SEQUENCE_LENGTH / spent,
            sum(p.numel() for p in self.model.parameters()),
            interrupted,
        )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def _progress(self) -> float:
        """How much of the budget is spent, in [0, 1]: steps or time, whichever is further."""
        budget = self.config.train
        by_steps = self.step / budget.steps if budget.steps else 0.0
        by_time = self.seconds / (60 * budget.minutes) if budget.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def _loop(self, log: RunLog, bar: ProgressBar) -> None:
        settings = self.config.train
        teller = ProgressReporter(log, bar, settings.batch * SEQUENCE_LENGTH, self.step, "frames")
        validated = time.monotonic()
        while (share := self._progress()) < 1:
            lr = learning_rate(self.config, self.step, share)
            loss, norm = self._train_step(lr)
            if self.step % settings.log_every == 0:
                numbers = {"action": loss.item(), "gradient_norm": norm.item(), "lr": lr}
                self._finite(numbers)
                teller.report(self.step, share, numbers)
            if time.monotonic() - validated > settings.validate_every_s:
                self._validate(log)
                validated = time.monotonic()

    def _train_step(self, lr: float) -> tuple[Tensor, Tensor]:
        """One optimiser step: the loss in nats per action, and the gradient's norm."""
        settings = self.config.train
        generator = torch.Generator(self.device).manual_seed(settings.seed * 1_000_003 + self.step)
        batch = sample_sequences(self.corpus.dataset, "train", settings.batch, generator)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with self._autocast():
            scores, _ = self.model(batch.frames, batch.text)
        nats = self.choices.nll(scores, self.choices.targets(batch.target_actions))
        loss = nats[batch.frame_mask].mean()
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        self.optimizer.step()
        self.step += 1
        update_ema(self.ema_model, self.model, self.step, settings.ema_decay)
        return loss.detach(), norm

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()

    def _validate(self, log: RunLog) -> None:
        """Score the averaged weights; keep them as best where their loss is the lowest so far."""
        has_some = self.corpus.dataset.steps("validation") > 0
        numbers = self._scores("validation" if has_some else "train")
        self._finite(numbers)
        log.write(self.step, "validation", numbers)
        if numbers["action"] < self.best.get("action", math.inf):
            self.best, self.best_step = numbers, self.step
            self._save("best")
        said = ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        logger.info("validation at step %d: %s", self.step, said)

    @torch.no_grad()
    def _scores(self, part: str) -> dict[str, float]:
        """Of the drawn steps alone, each after at most `SEQUENCE` - 1 others, on fixed sequences."""
        generator = torch.Generator(self.device).manual_seed(7)
        windows, size = self.config.train.validation_windows, self.config.train.batch
        sums = torch.zeros(4, device=self.device)
        for start in range(0, windows, size):
            batch = sample_sequences(
                self.corpus.dataset, part, min(size, windows - start), generator
            )
            with self._autocast():
                scores, _ = self.ema_model(batch.frames, batch.text)
            rows = torch.arange(len(scores), device=self.device)
            scores, targets = (
                scores[rows, batch.target_index],
                batch.target_actions[rows, batch.target_index],
            )
            targets = self.choices.targets(targets)
            right = (self.choices.argmax(scores) == targets).all(-1)
            found = (
                self.choices.nll(scores, targets),
                right,
                right & batch.changed,
                batch.changed,
            )
            sums += torch.stack([each.float().sum() for each in found])
        nats, right_, at_change, changes = sums.tolist()
        return {
            "action": nats / windows,
            "exact_match": right_ / windows,
            "change_accuracy": at_change / max(changes, 1.0),
        }

    def _finite(self, numbers: dict[str, float]) -> None:
        if not all(map(math.isfinite, numbers.values())):
            raise TrainError(
                f"the loss is no longer finite at step {self.step}; try a lower train.lr"
            )

    def _save(self, name: str) -> None:
        facts = {
            "steps": self.step,
            "minutes": round(self.seconds / 60, 2),
            "sequences": self.step * self.config.train.batch,
            "episodes": self.corpus.episodes,
            "frames": len(self.corpus.dataset.target_actions),
            "validation": {k: round(v, 5) for k, v in self.best.items()},
        }
        header = make_header(self.sizes, self.corpus.specs, self.corpus.vocabulary, facts)
        save(self.run_dir / name, self.ema_model.state_dict(), header)

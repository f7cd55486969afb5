"""CNN+GRU trainer: behaviour cloning with the same episodes, sampling, budget and report as the IAFM.

`iafm train agent_core/recipes/voxel-tiny.toml --baseline --run runs/baseline`

A window is a sequence of consecutive steps here. What a run's folder holds, and how a run is stopped and resumed:
agent_core/training/loop.py. Losses in the log are nats per action token, as the IAFM's: an action's nats over the
number of tokens that the IAFM would write for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from agent_core.baseline.network import (
    KIND,
    ActionHeads,
    CnnGru,
    Header,
    Sizes,
    make_header,
    to_channels_last,
)
from agent_core.baseline.sequences import Sequences, build_sequences
from agent_core.config import RunConfig
from agent_core.data.corpus import Frames, TrainingData, build_training_data, load_splits
from agent_core.data.dataset import WindowDraw, step_generator
from agent_core.data.tables import EpisodeLike
from agent_core.device import half_precision, keep_freed_memory
from agent_core.errors import ConfigError
from agent_core.training.distributed import ProcessGroup
from agent_core.training.fingerprint import refuse_other_network
from agent_core.training.loop import Metrics, TrainingLoop, check_budget
from agent_core.training.optimizer import make_optimizer, update_ema
from agent_core.training.precision import autocast
from agent_core.training.report import TrainReport
from agent_core.training.resume import TrainState
from agent_core.training.run_dir import clear_run, locked_run_dir, write_guard
from agent_core.training.validation import (
    Autocast,
    WindowScorer,
    WindowScores,
    scores_by_game,
)
from recorder import Skipped


def train_baseline(config: RunConfig, run_dir: Path, *, resume: bool = True) -> TrainReport:
    """Train by the configuration's data, budget and optimizer; its other settings are the IAFM's alone.

    Resumes where an earlier call with the same folder ended. Raises `ConfigError`, `CaptureError` (no data) or
    `TrainError` (the loss is no longer finite, the disk is full, the folder is another run's, or in use).
    """
    _check(config)
    with locked_run_dir(run_dir):
        refuse_other_network(run_dir, KIND)
        return _train(config, run_dir, *load_splits(config, run_dir), resume)


def train_baseline_on(
    config: RunConfig,
    run_dir: Path,
    splits: Mapping[str, Sequence[EpisodeLike]],
    frames: Frames,
    *,
    resume: bool = True,
) -> TrainReport:
    """Train on opened episodes: `splits` has "train" and "validation", `frames` all their frames in that order."""
    _check(config)
    with locked_run_dir(run_dir):
        return _train(config, run_dir, splits, frames, (), resume)


def _train(
    config: RunConfig,
    run_dir: Path,
    splits: Mapping[str, Sequence[EpisodeLike]],
    frames: Frames,
    skipped: tuple[Skipped, ...],
    resume: bool,
) -> TrainReport:
    keep_freed_memory()
    corpus = build_training_data(config, splits, frames, skipped)
    learner = BaselineTrainer(config, corpus)
    loop = TrainingLoop(config, run_dir, corpus, learner, ProcessGroup())
    with write_guard(run_dir):
        if resume:
            loop.restore()
        else:
            clear_run(run_dir)
        return loop.run()


def _check(config: RunConfig) -> None:
    check_budget(config)
    train = config.train
    if source := train.init_from or train.clip_weights or train.opt_weights:
        raise ConfigError(f"the CNN+GRU begins with random weights, it cannot start from {source}")


class BaselineTrainer:
    """The CNN+GRU as a learner: its weights, their EMA, optimizer and data."""

    network = KIND
    data_wait_s: float | None = None

    def __init__(self, config: RunConfig, corpus: TrainingData) -> None:
        self.config, self.corpus = config, corpus
        self.device = corpus.dataset.device
        self.heads = ActionHeads(corpus.vocabulary)
        if not self.heads.sizes:
            raise ConfigError("nothing is done in these episodes, so there is nothing to clone")
        model = config.model
        self.sizes = Sizes(
            frame_height=model.frame_height,
            frame_width=model.frame_width,
            max_text_tokens=model.max_text_tokens,
        )
        torch.manual_seed(config.train.seed)
        self.model, self.ema_model = self._build(), self._build()
        self.ema_model.load_state_dict(self.model.state_dict())
        self.ema_model.requires_grad_(False).eval()
        self.state = TrainState(self.model, self.ema_model, make_optimizer(self.model, config))
        self.frames = torch.zeros((), dtype=torch.float64, device=self.device)
        self.half = half_precision(config.train.precision, self.device)

    def _build(self) -> CnnGru:
        outputs = sum(self.heads.sizes)
        model = CnnGru(self.sizes, self.corpus.vocabulary.text_size, outputs).to(self.device)
        to_channels_last(model)
        return model

    def train_step(self, step: int, lr: float) -> Metrics:
        """Forward and backward, one optimizer step, one EMA update; minimized is the mean over actions."""
        train, optimizer, dataset = self.config.train, self.state.optimizer, self.corpus.dataset
        generator = step_generator(train.seed, step, self.device)
        batch = build_sequences(dataset, dataset.draw_steps("train", train.batch, generator))
        for settings in optimizer.param_groups:
            settings["lr"] = lr
        with self._autocast():
            logits, _ = self.model(batch.frames, batch.text, present=batch.present)
        self.frames += batch.present.sum()
        nats = self.heads.nll(logits, self.heads.targets(batch.target_actions))  # (B, N)
        nats = nats[batch.loss_mask]
        tokens = _tokens(batch.target_actions[batch.loss_mask])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(nats.mean())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), train.clip)
        optimizer.step()
        update_ema(self.ema_model, self.model, step + 1, train.ema_decay)
        loss = nats.detach().sum() / tokens.clamp(min=1)
        return lambda: {
            "action_nats_per_token": loss.item(),
            "gradient_norm": norm.item(),
            "lr": lr,
        }

    def validate(self, should_stop: Callable[[], bool]) -> dict[str, float]:
        """Scores of sampled steps on held-out episodes (training episodes where none are held out)."""
        dataset = self.corpus.dataset
        split = "validation" if dataset.steps("validation") else "train"
        batch = self.config.train.batch
        return scores_by_game(self._read, dataset, self.config, split, batch, should_stop)

    def _read(self, draw: WindowDraw) -> WindowScorer:
        """Sequences around the sampled steps, of which those steps alone are scored."""
        batch = build_sequences(self.corpus.dataset, draw.last)
        return BaselineScorer(self.ema_model, self.heads, self._autocast, batch)

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.device, self.half)

    def ema_weights(self) -> dict[str, Tensor]:
        return self.ema_model.state_dict()

    def header(self, metadata: dict[str, object]) -> Header:
        return make_header(self.sizes, self.corpus.specs, self.corpus.vocabulary, metadata)


@dataclass(frozen=True)
class BaselineScorer:
    """Scores of one step of each sequence."""

    model: CnnGru
    heads: ActionHeads
    autocast: Autocast
    batch: Sequences

    def score(self) -> WindowScores:
        logits, targets = self._logits(self.batch.text), self._targets()
        return WindowScores(
            self.heads.nll(logits, targets).sum(),
            _tokens(self._actions()),
            (self.heads.argmax(logits) == targets).all(-1),
        )

    def exact(self, instruction_ids: Tensor) -> Tensor:
        return (self.heads.argmax(self._logits(instruction_ids)) == self._targets()).all(-1)

    def _logits(self, text: Tensor) -> Tensor:
        """(B, outputs) at the scored steps."""
        with self.autocast():
            logits, _ = self.model(self.batch.frames, text, present=self.batch.present)
        return _at(logits, self.batch.target_index)

    def _actions(self) -> Tensor:
        """(B, A) ids."""
        return _at(self.batch.target_actions, self.batch.target_index)

    def _targets(self) -> Tensor:
        """(B, heads)."""
        return self.heads.targets(self._actions())


def _at(values: Tensor, index: Tensor) -> Tensor:
    """(B, …): of every sequence in (B, N, …) the value at its index, (B,)."""
    return values[torch.arange(len(values), device=values.device), index]


def _tokens(actions: Tensor) -> Tensor:
    """Number of target tokens of actions (…, A): all but START."""
    return (actions[..., 1:] != 0).sum()

"""IAFM trainer: behaviour cloning of recorded episodes within a budget, on one process or many.

`iafm train --set data.episodes=["data/voxel"] --set train.minutes=8`

What a run's folder holds, and how a run is stopped and resumed: agent_core/training/loop.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn

from agent_core.config import RunConfig
from agent_core.data.corpus import Frames, TrainingData, build_training_data, load_splits
from agent_core.data.dataset import WindowDraw
from agent_core.data.prefetch import Prefetcher, can_prefetch
from agent_core.data.tables import EpisodeLike
from agent_core.device import half_precision, keep_freed_memory
from agent_core.errors import ConfigError, TrainError
from agent_core.model.iafm import IAFM
from agent_core.training.distributed import ProcessGroup
from agent_core.training.fingerprint import refuse_other_network
from agent_core.training.initialize import build_ema, build_model
from agent_core.training.loop import Metrics, TrainingLoop, check_budget
from agent_core.training.microbatch import (
    LossModule,
    MicroBatch,
    compile_layers,
    global_counts,
    sample_microbatch,
)
from agent_core.training.optimizer import make_optimizer, update_ema
from agent_core.training.precision import autocast, set_matmul_precision
from agent_core.training.progress import as_metrics
from agent_core.training.report import TrainReport
from agent_core.training.resume import TrainState
from agent_core.training.run_dir import clear_run, locked_run_dir, write_guard
from agent_core.training.sharding import full_state_dict, full_tensor, grad_sync, shard, wrap_ddp
from agent_core.training.validation import IafmScorer, WindowScorer, scores_by_game
from agent_core.weights.checkpoint import Header, make_header
from recorder import Skipped


def train(
    config: RunConfig, run_dir: Path, *, resume: bool = True, prefetch: bool | None = None
) -> TrainReport:
    """Train by the configuration; resumes where an earlier call with the same folder ended.

    `prefetch` is decided by the device where None. Raises `ConfigError`, `CaptureError` (no data) or `TrainError` (the
    loss is no longer finite, the folder is another run's, or in use).
    """
    group = ProcessGroup.init(config.train.device)
    with locked_run_dir(run_dir, group.is_main):
        refuse_other_network(run_dir, "iafm")
        try:
            splits, frames, skipped = group.main_first(lambda: load_splits(config, run_dir))
        except OSError as error:
            raise TrainError(f"cannot read the episodes, or keep their frames: {error}") from None
        return _train(config, run_dir, splits, frames, skipped, resume, prefetch)


def train_on(
    config: RunConfig,
    run_dir: Path,
    splits: Mapping[str, Sequence[EpisodeLike]],
    frames: Frames,
    *,
    resume: bool = True,
    prefetch: bool | None = None,
) -> TrainReport:
    """Train on opened episodes: `splits` has "train" and "validation", `frames` all their frames in that order."""
    group = ProcessGroup.init(config.train.device)
    with locked_run_dir(run_dir, group.is_main):
        return _train(config, run_dir, splits, frames, (), resume, prefetch)


def _train(
    config: RunConfig,
    run_dir: Path,
    splits: Mapping[str, Sequence[EpisodeLike]],
    frames: Frames,
    skipped: tuple[Skipped, ...],
    resume: bool,
    prefetch: bool | None,
) -> TrainReport:
    keep_freed_memory()
    corpus = build_training_data(config, splits, frames, skipped)
    del frames
    trainer = Trainer(config, corpus)
    loop = TrainingLoop(config, run_dir, corpus, trainer, trainer.group)
    with write_guard(run_dir):
        if resume:
            loop.restore()
        elif trainer.group.is_main:
            clear_run(run_dir)
        with trainer.prefetching(prefetch):
            report = loop.run()
    group = trainer.group
    del loop, trainer  # nothing may reference the process group when it is left
    group.destroy()
    return report


class Trainer:
    """The IAFM as a learner: its weights, their EMA, optimizer and data."""

    network = "iafm"

    def __init__(self, config: RunConfig, corpus: TrainingData) -> None:
        self.config, self.corpus = config, corpus
        self.device = corpus.dataset.device
        self.group = ProcessGroup.init(config.train.device)
        check_budget(config)
        micro_batches = self.group.world_size * config.train.accumulate
        if config.train.batch % micro_batches:
            raise ConfigError(
                f"train.batch={config.train.batch} is no multiple of its {micro_batches} micro-batches"
            )
        set_matmul_precision(self.device)
        self.half = half_precision(config.train.precision, self.device)
        self.max_batch = config.train.batch // micro_batches
        self.model = build_model(config, corpus)
        self.ema_model = build_ema(self.model, config, corpus)
        self.is_sharded = config.train.fsdp and self.group.world_size > 1
        self.loss_module = self._wrap(LossModule(self.model, config))
        optimizer = make_optimizer(self.model, config)  # of the weights as they are sharded now
        self.state = TrainState(self.model, self.ema_model, optimizer)
        self.frames = torch.zeros((), dtype=torch.float64, device=self.device)
        self._prefetcher: Prefetcher[list[MicroBatch]] | None = None

    def _wrap(self, loss_module: LossModule) -> nn.Module:
        if self.config.train.compile:
            compile_layers(loss_module)
        if not self.is_sharded:
            return wrap_ddp(loss_module, self.group)
        shard(self.ema_model, self.group, self.device)
        shard(loss_module, self.group, self.device)
        return loss_module

    def prefetching(self, prefetch: bool | None = None) -> Prefetcher[list[MicroBatch]]:
        """The source of batches, as a context around training."""
        ahead = can_prefetch(self.device) if prefetch is None else prefetch
        self._prefetcher = Prefetcher(self._micro_batches, self.device, ahead)
        return self._prefetcher

    @property
    def data_wait_s(self) -> float | None:
        return None if self._prefetcher is None else self._prefetcher.data_wait_s

    def _micro_batches(self, step: int) -> list[MicroBatch]:
        """This process's rows of one step's batch, as micro-batches."""
        group, accumulate = self.group, self.config.train.accumulate
        dtype = torch.bfloat16 if self.half else torch.float32
        stride, dataset = group.world_size * accumulate, self.corpus.dataset
        rows = [slice(group.rank * accumulate + k, None, stride) for k in range(accumulate)]
        return [sample_microbatch(dataset, self.config, step, each, dtype) for each in rows]

    def train_step(self, step: int, lr: float) -> Metrics:
        """Forward and backward of every micro-batch, one optimizer step, one EMA update."""
        if self._prefetcher is None:
            raise RuntimeError("train_step needs the context of prefetching()")
        config, group, optimizer = self.config, self.group, self.state.optimizer
        micro_batches = self._prefetcher.get(step)
        counts = global_counts(micro_batches, config.model.visual_tokens, group)
        self.frames += counts.frames
        for settings in optimizer.param_groups:
            settings["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        losses = torch.zeros(4, device=self.device)
        for k, micro in enumerate(micro_batches):
            with grad_sync(self.loss_module, last=k == len(micro_batches) - 1):
                with self._autocast():
                    total, each = self.loss_module(micro, counts)
                (total * group.world_size).backward()  # processes average their gradients
            losses += each
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.train.clip)
        optimizer.step()
        update_ema(self.ema_model, self.model, step + 1, config.train.ema_decay)
        losses, norm = group.all_reduce(losses), full_tensor(norm)
        return lambda: as_metrics(losses, norm, lr)

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.device, self.half)

    def validate(self, should_stop: Callable[[], bool]) -> dict[str, float] | None:
        """Scores on held-out episodes (training episodes where none are held out), on the main process."""
        model = self._gather_ema_model()
        if not self.group.is_main:
            return None
        dataset = self.corpus.dataset
        split = "validation" if dataset.steps("validation") else "train"

        def read(draw: WindowDraw) -> WindowScorer:
            batch = dataset.build_windows(draw, self.config.data.window_frames)
            return IafmScorer(model, dataset, self.config, self._autocast, batch)

        return scores_by_game(read, dataset, self.config, split, self.max_batch, should_stop)

    def _gather_ema_model(self) -> IAFM:
        """The EMA weights as a model that computes; where they are sharded, gathered on the main process."""
        if not self.is_sharded:
            return self.ema_model
        weights = self.ema_weights()
        with torch.device("meta"):
            model = IAFM(self.config.model, self.corpus.vocabulary.size)
        if self.group.is_main:
            model.load_state_dict(weights, assign=True)
            model.to(self.device)
        return model.requires_grad_(False).eval()

    def ema_weights(self) -> dict[str, Tensor]:
        return full_state_dict(self.ema_model.state_dict(), self.group.is_main)

    def header(self, metadata: dict[str, object]) -> Header:
        return make_header(self.config.model, self.corpus.specs, self.corpus.vocabulary, metadata)

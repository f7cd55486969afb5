"""How does the model learn to play? Behaviour cloning of recorded episodes, on one device, within a budget.

`iafm train --set data.episodes=["data/voxel"] --set train.minutes=8`

In a run's folder: config.toml, best/ (the checkpoint with the lowest validation loss), last/, state/ (to
resume from), log.jsonl, tensorboard/, curves.png.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from agent_core.baseline.network import is_baseline
from agent_core.config import ConfigError, RunConfig
from agent_core.data.corpus import Frames, TrainingData, build_training_data, load_splits
from agent_core.data.dataset import EpisodeLike
from agent_core.data.prefetch import Prefetcher, can_prefetch
from agent_core.device import half_precision, keep_freed_memory
from agent_core.model.iafm import IAFM
from agent_core.progress_bar import ProgressBar
from agent_core.training.distributed import ProcessGroup
from agent_core.training.initialize import build_ema, build_model
from agent_core.training.microbatch import (
    LossModule,
    MicroBatch,
    compile_layers,
    global_counts,
    sample_microbatch,
)
from agent_core.training.optimizer import learning_rate, make_optimizer, update_ema
from agent_core.training.progress import ProgressReporter, as_metrics, progress_bar
from agent_core.training.resume import (
    RunProgress,
    TrainError,
    TrainState,
    create_run_dir,
    restore_state,
    save_state,
    write_guard,
)
from agent_core.training.run_log import RunLog, draw_curves
from agent_core.training.sharding import full_state_dict, full_tensor, grad_sync, shard, wrap_ddp
from agent_core.training.validation import scores_by_game
from agent_core.weights.checkpoint import Header, first_overflowing, make_header, save
from recorder.format.atomic import write_atomic

logger = logging.getLogger("iafm.train")


@dataclass(frozen=True)
class TrainReport:
    """What a run came to. Validation numbers are those of the best checkpoint, NaN where a run has none."""

    best: Path
    steps: int
    minutes: float
    best_step: int
    action_loss: float
    exact_match: float
    change_accuracy: float
    language_loss: float
    windows_per_s: float
    interrupted: bool = False
    rank: int = 0
    """Of the process that tells this; all but 0 have nothing to add."""


class Schedule(NamedTuple):
    """What the leader's clock says, the same on all processes."""

    progress: float
    """Of the budget that is spent, in [0, 1]: steps or time, whichever is further."""
    validation: float = 0.0
    saving: float = 0.0


def train(config: RunConfig, run_dir: Path, *, resume: bool = True) -> TrainReport:
    """Train by the configuration; goes on where an earlier call with the same folder ended.

    Raises `ConfigError`, `CaptureError` (no data) or `TrainError` (the loss is no longer finite, another's folder).
    """
    ranks = ProcessGroup.init(config.train.device)
    if is_baseline(run_dir / "last") or is_baseline(run_dir / "best"):
        raise TrainError(f"{run_dir} holds a CNN+GRU; take another folder with --run")
    create_run_dir(run_dir)
    try:
        parts, frames = ranks.main_first(lambda: load_splits(config, run_dir))
    except OSError as error:
        raise TrainError(f"cannot read the episodes, or keep their frames: {error}") from None
    return train_on(config, run_dir, parts, frames, resume=resume)


def train_on(
    config: RunConfig,
    run_dir: Path,
    parts: dict[str, Sequence[EpisodeLike]],
    frames: Frames,
    *,
    resume: bool = True,
) -> TrainReport:
    """Train on opened episodes: `parts` has "train" and "validation", `frames` all their frames in that order."""
    create_run_dir(run_dir)
    keep_freed_memory()
    corpus = build_training_data(config, parts, frames)
    del frames
    run = Trainer(config, run_dir, corpus)
    with write_guard(run_dir):
        if resume:
            run.restore()
        elif run.group.is_main:
            clear_run(run_dir)
        report, ranks = run.run(), run.group
    del run  # its process group is used no more when it ends
    ranks.destroy()
    return report


def clear_run(run_dir: Path) -> None:
    """Leave nothing of an earlier run but its decoded frames."""
    kept = [f"{name}{end}" for name in ("state", "best", "last") for end in ("", ".old")]
    for path in (run_dir / name for name in (*kept, "log.jsonl", "tensorboard")):
        path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)


class Trainer:
    """One run's model, optimiser and progress."""

    def __init__(self, config: RunConfig, run_dir: Path, corpus: TrainingData) -> None:
        self.config, self.run_dir, self.corpus = config, run_dir, corpus
        self.device = corpus.dataset.device
        self.group = ProcessGroup.init(config.train.device)
        if not (config.train.steps or config.train.minutes):
            raise ConfigError("set a budget: train.steps or train.minutes")
        parts = self.group.world_size * config.train.accumulate
        if config.train.batch % parts:
            raise ConfigError(
                f"train.batch={config.train.batch} is no multiple of its {parts} parts"
            )
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        self.half = half_precision(config.train.precision, self.device)
        self.model = build_model(config, corpus)
        self.ema_model = build_ema(self.model, config, corpus)
        self.is_sharded = config.train.fsdp and self.group.world_size > 1
        self.loss_module = self._loss_module()
        optimiser = make_optimizer(self.model, config)  # of the weights as they are held now
        self.state = TrainState(self.model, self.ema_model, optimiser)
        self.progress = RunProgress()
        self.schedule_progress = 0.0
        """Of the budget, spent before the present step."""
        self.has_validation = corpus.dataset.steps("validation") > 0
        self._started = self._validated = self._saved = time.monotonic()
        self._seconds_before = 0.0

    def _loss_module(self) -> nn.Module:
        objective = LossModule(self.model, self.config)
        if self.config.train.compile:
            compile_layers(objective)
        if not self.is_sharded:
            return wrap_ddp(objective, self.group)
        shard(self.ema_model, self.group, self.device)
        shard(objective, self.group, self.device)
        return objective

    def run(self) -> TrainReport:
        """Train until the budget is spent."""
        self._started = time.monotonic()
        self._seconds_before = self.progress.seconds
        first, interrupted = self.progress.step, False
        leads = self.group.is_main
        if leads:
            write_atomic(self.run_dir / "config.toml", self.config.toml())
        logged = RunLog(self.run_dir, self.progress.step) if leads else nullcontext()
        with logged as log, progress_bar(leads) as bar:
            try:
                ahead = can_prefetch(self.device)
                with Prefetcher(self._microbatches, self.device, ahead) as feeder:
                    self._loop(feeder, log, bar)
            except KeyboardInterrupt:
                if self.is_sharded:
                    raise  # processes stand at different places: only what was saved fits together
                interrupted = True
                logger.warning(
                    "interrupted at step %d; saved, run again to go on", self.progress.step
                )
            self._finish(log)
        done, spent = self.progress.step - first, self.seconds - self._seconds_before
        best = self.progress.best
        return TrainReport(
            self.run_dir / "best",
            self.progress.step,
            self.seconds / 60,
            self.progress.best_step,
            best.get("action", math.nan),
            best.get("exact_match", math.nan),
            best.get("change_accuracy", math.nan),
            best.get("language", math.nan),
            done * self.config.train.batch / max(spent, 1e-9),
            interrupted,
            self.group.rank,
        )

    def _finish(self, log: RunLog | None) -> None:
        if self.progress.validated_step != self.progress.step:
            self._validate(log)
        self._save_state()
        weights = full_state_dict(self.ema_model.state_dict(), self.group.is_main)
        if self.group.is_main:
            save(self.run_dir / "last", weights, self._header())
            draw_curves(self.run_dir)

    @property
    def seconds(self) -> float:
        """Time spent on this run in all, over all its resumptions."""
        return self._seconds_before + time.monotonic() - self._started

    def _check_schedule(self) -> Schedule:
        """How much of the budget is spent, and whether it is time to validate and to save."""
        budget, now = self.config.train, time.monotonic()
        by_steps = self.progress.step / budget.steps if budget.steps else 0.0
        by_time = self.seconds / (60 * budget.minutes) if budget.minutes else 0.0
        share = min(1.0, max(by_steps, by_time))
        validation = now - self._validated > budget.validate_every_s
        saving = now - self._saved > budget.save_every_s
        return Schedule(*self.group.broadcast((share, validation, saving), self.device))

    def _loop(
        self, feeder: Prefetcher[list[MicroBatch]], log: RunLog | None, bar: ProgressBar
    ) -> None:
        batch = self.config.train.batch
        teller = ProgressReporter(log, bar, batch, self.progress.step)
        self._validated = self._saved = time.monotonic()
        due = self._check_schedule()
        while due.progress < 1:
            self.schedule_progress = due.progress
            found, norm, lr = self._step(feeder.get(self.progress.step))
            if self.progress.step % self.config.train.log_every == 0:
                self._check(numbers := as_metrics(found, norm, lr))
                teller.report(
                    self.progress.step, self.schedule_progress, numbers, feeder.data_wait_s
                )
            due = self._check_schedule()
            if due.validation:
                self._validate(log)
            if due.saving:
                self._check(as_metrics(found, norm, lr))
                self._save_state()
        bar(1.0, 1.0)

    def _microbatches(self, step: int) -> list[MicroBatch]:
        """This process's share of one step's batch, in parts that are computed one after the other."""
        ranks, accumulate = self.group, self.config.train.accumulate
        dtype = torch.bfloat16 if self.half else torch.float32
        stride, store = ranks.world_size * accumulate, self.corpus.dataset
        mine = [slice(ranks.rank * accumulate + k, None, stride) for k in range(accumulate)]
        return [sample_microbatch(store, self.config, step, rows, dtype) for rows in mine]

    def _step(self, parts: list[MicroBatch]) -> tuple[torch.Tensor, torch.Tensor, float]:
        """One optimiser step: [total, language, mae, action], the gradient's norm, the rate."""
        config, progress, ranks = self.config, self.progress, self.group
        counts = global_counts(parts, config.model.visual_tokens, ranks)
        lr = learning_rate(config, progress.step, self.schedule_progress)
        optimiser = self.state.optimizer
        for group in optimiser.param_groups:
            group["lr"] = lr
        optimiser.zero_grad(set_to_none=True)
        said = torch.zeros(4, device=self.device)
        for k, part in enumerate(parts):
            with grad_sync(self.loss_module, last=k == len(parts) - 1):
                with self._autocast():
                    total, found = self.loss_module(part, counts)
                (total * ranks.world_size).backward()  # processes average their gradients
            said += found
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.train.clip)
        optimiser.step()
        progress.step += 1
        update_ema(self.ema_model, self.model, progress.step, config.train.ema_decay)
        return ranks.all_reduce(said), full_tensor(norm), lr

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()

    def _validate(self, log: RunLog | None) -> None:
        """Score the averaged weights on the leader; keep them as best where their loss is the lowest so far.

        The loss of actions, or of words where there is nothing to press.
        """
        model = self._gather_ema_model()
        self.progress.validated_step = self.progress.step
        if log is not None:
            self._score(model, log)
        self._validated = time.monotonic()

    def _gather_ema_model(self) -> IAFM:
        """The averaged weights as a model that computes; where they are split, whole on the leader for the moment."""
        if not self.is_sharded:
            return self.ema_model
        weights = full_state_dict(self.ema_model.state_dict(), self.group.is_main)
        with torch.device("meta"):
            model = IAFM(self.config.model, self.corpus.vocabulary.size)
        if self.group.is_main:
            model.load_state_dict(weights, assign=True)
            model.to(self.device)
        return model.requires_grad_(False).eval()

    def _score(self, model: IAFM, log: RunLog) -> None:
        part = "validation" if self.has_validation else "train"
        store = self.corpus.dataset
        at_once = self.config.train.batch // (self.group.world_size * self.config.train.accumulate)
        numbers = scores_by_game(model, store, self.config, part, self._autocast, at_once)
        self._check(numbers)
        if self.has_validation:
            log.write(self.progress.step, "validation", numbers)
        loss = "action" if store.target_actions.any() else "language"
        if numbers[loss] < self.progress.best.get(loss, math.inf):
            self.progress.best, self.progress.best_step = numbers, self.progress.step
            save(self.run_dir / "best", model.state_dict(), self._header())
        said = [f"{name} {value:.4f}" for name, value in numbers.items() if "/" not in name]
        logger.info("validation at step %d: %s", self.progress.step, ", ".join(said))

    def _check(self, numbers: dict[str, float]) -> None:
        if not all(map(math.isfinite, numbers.values())):
            raise self._divergence_error("the loss is no longer finite")

    def _divergence_error(self, why: str) -> TrainError:
        """What has gone wrong and the way out; the state may hold weights that are on their way there already."""
        best, way_out = self.run_dir / "best", "begin anew with --fresh and a lower train.lr"
        if self.progress.best:
            way_out = (
                f"{best} is intact: run again with a lower train.lr, and where that ends here too, "
                f"in another folder with train.init_from={best}"
            )
        return TrainError(f"{why} at step {self.progress.step}; {way_out}")

    def _header(self) -> Header:
        facts = {
            "steps": self.progress.step,
            "minutes": round(self.seconds / 60, 2),
            "windows": self.progress.step * self.config.train.batch,
            "episodes": self.corpus.episodes,
            "frames": len(self.corpus.dataset.target_actions),
            "validation": {k: round(v, 5) for k, v in self.progress.best.items()},
        }
        return make_header(self.config.model, self.corpus.specs, self.corpus.vocabulary, facts)

    def _save_state(self) -> None:
        self.progress.seconds = self.seconds
        tensors = self.state.tensors(self.group.is_main)
        if self.group.is_main:
            if first_overflowing(
                {k: w for k, w in tensors.items() if not k.startswith("optimiser.")}
            ):
                raise self._divergence_error("the weights are beyond half precision")
            vocabulary = self.corpus.vocabulary
            save_state(self.run_dir / "state", tensors, self.progress, vocabulary)
        self._saved = time.monotonic()

    def restore(self) -> None:
        """Go on from `state/` where there is one."""
        vocabulary = self.corpus.vocabulary
        before = restore_state(self.run_dir / "state", self.state, vocabulary)
        if before is not None:
            self.progress = before
            logger.info("going on from step %d", self.progress.step)
        (step,) = self.group.broadcast((self.progress.step,), self.device)
        if step != self.progress.step:
            raise TrainError(
                f"{self.run_dir / 'state'} is at step {self.progress.step} here, at {step:.0f} on the first machine: "
                "machines that do not share the folder need a copy of it to go on"
            )

"""Training loop: optimizer steps within a budget, validation, saving, resumption and graceful stop.

It drives any network through `Learner`. In a run's folder: config.toml, best/ (the checkpoint with the lowest
validation loss), last/, state/ (to resume from), log.jsonl, tensorboard/, curves.png, lock.

State is saved before the final validation, which may take minutes: whatever ends the process then, a run resumes from
where it stopped, and a validation that was cut short is made up for first.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import BaseModel
from torch import Tensor

from agent_core.config import RunConfig
from agent_core.data.corpus import TrainingData
from agent_core.errors import ConfigError, TrainError
from agent_core.training.distributed import ProcessGroup
from agent_core.training.fingerprint import fingerprint
from agent_core.training.interrupt import StopRequest
from agent_core.training.progress import ProgressReporter, progress_bar
from agent_core.training.progress_bar import ProgressBar
from agent_core.training.report import TrainReport, make_report
from agent_core.training.resume import RunProgress, TrainState, restore_state, save_state
from agent_core.training.run_dir import BEST, LAST, STATE
from agent_core.training.run_log import GROUNDING, RunLog, draw_curves
from agent_core.training.schedule import LrSchedule, learning_rate, spent_share
from agent_core.training.validation import ValidationStopped
from agent_core.weights.checkpoint import first_overflowing, save
from recorder.format.atomic import current_or_old, write_atomic

logger = logging.getLogger("iafm.train")
Metrics = Callable[[], dict[str, float]]
"""The numbers of a step for the log; reading them waits for the device."""


class Learner(Protocol):
    """A network under training."""

    network: str
    state: TrainState
    frames: Tensor
    """Frames trained on by this process's learner, a number on the device."""

    def train_step(self, step: int, lr: float) -> Metrics:
        """One optimizer step and its update of the EMA."""

    def validate(self, should_stop: Callable[[], bool]) -> dict[str, float] | None:
        """Scores of the EMA weights, on the main process. Raises `ValidationStopped`."""

    def ema_weights(self) -> dict[str, Tensor]:
        """Whole tensors on the main process; every process must call."""

    def header(self, metadata: dict[str, object]) -> BaseModel:
        """Of a checkpoint."""

    @property
    def data_wait_s(self) -> float | None:
        """Time spent waiting for data so far, where it is known."""


class Due(NamedTuple):
    """What the main process's clock and signals say, the same on all processes."""

    position: float
    """On the learning-rate curve."""
    is_spent: float
    stop: float
    """The signal received, 0 for none."""
    validation: float
    saving: float


class TrainingLoop:
    """One run of a learner."""

    def __init__(
        self,
        config: RunConfig,
        run_dir: Path,
        corpus: TrainingData,
        learner: Learner,
        group: ProcessGroup,
    ) -> None:
        self.config, self.run_dir, self.corpus = config, run_dir, corpus
        self.learner, self.group = learner, group
        self.device = corpus.dataset.device
        self.fingerprint = fingerprint(learner.network, config, corpus)
        self.has_validation = corpus.dataset.steps("validation") > 0
        self.progress = RunProgress()
        self.schedule = LrSchedule()
        self._started = self._validated = self._saved = time.monotonic()
        self._seconds_before = 0.0
        self._frames_before = 0
        self._ended: float | None = None
        self._metrics: Metrics = dict

    def restore(self) -> None:
        """Resume from `state/` where there is one."""
        folder = self.run_dir / STATE
        saved = restore_state(folder, self.learner.state, self.fingerprint)
        if saved is not None:
            self.progress = saved
            spent = spent_share(self.config.train, saved.step, saved.seconds)
            self.schedule = LrSchedule(spent, saved.schedule)
            self._log_resumption(spent)
        elif self.group.is_main and current_or_old(self.run_dir / BEST).exists():
            raise TrainError(
                f"{self.run_dir} holds a checkpoint but no {STATE}/ to resume from; "
                "take another folder with --run, or begin anew with --fresh"
            )
        (step,) = self.group.broadcast((self.progress.step,), self.device)
        if step != self.progress.step:
            raise TrainError(
                f"{folder} is at step {self.progress.step} here, at {step:.0f} on the first machine: "
                "machines that do not share the folder need a copy of it to resume"
            )

    def _log_resumption(self, spent: float) -> None:
        logger.info("resuming from step %d", self.progress.step)
        if self.progress.schedule >= 1 and spent < 1:
            rate = learning_rate(self.config, self.progress.step, 1.0)
            logger.warning(
                "the learning rate has come to its end: training goes on at %.3g; for a rate that falls again, %s",
                rate,
                self._restart,
            )

    @property
    def _restart(self) -> str:
        """How to train again from the beginning, or from the best weights."""
        if self.learner.network == "iafm" and self.progress.best:
            return f"begin in another folder with train.init_from={self.run_dir / BEST}"
        return "begin anew with --fresh"

    def run(self) -> TrainReport:
        """Train until the budget is spent, or Ctrl-C or SIGTERM is received."""
        self._seconds_before, self._frames_before = self.progress.seconds, self.progress.frames
        self._started = self._ended = time.monotonic()
        first, is_main = self.progress.step, self.group.is_main
        first_frame = self.progress.frames
        if is_main:
            write_atomic(self.run_dir / "config.toml", self.config.toml())
        logged = RunLog(self.run_dir, self.progress.step) if is_main else nullcontext()
        with logged as log, progress_bar(is_main) as bar, StopRequest() as stop:
            if self.progress.validation_due:
                self._validate(log, stop)
            self._started, self._ended = time.monotonic(), None
            self._train(log, bar, stop)
            number = self._finish(log, stop)
        spent_s = max(self.seconds - self._seconds_before, 1e-9)
        self.progress.seconds, self.progress.frames = self.seconds, self.frames
        report = make_report(
            self.run_dir,
            self.progress,
            batch=self.config.train.batch,
            steps_of_data=self.corpus.dataset.steps("train"),
            steps_per_s=(self.progress.step - first) / spent_s,
            frames_per_s=(self.frames - first_frame) / spent_s,
            parameters=sum(p.numel() for p in self.learner.state.model.parameters()),
            signal=number,
            rank=self.group.rank,
            skipped=self.corpus.skipped,
        )
        if is_main and not number:
            for line in report.warnings:
                logger.warning(line)
        return report

    @property
    def seconds(self) -> float:
        """Time that the budget counts, over all resumptions: all but validations before and after training."""
        now = time.monotonic() if self._ended is None else self._ended
        return self._seconds_before + now - self._started

    @property
    def frames(self) -> int:
        """Frames trained on, over all resumptions; reading it waits for the device."""
        return self._frames_before + int(self.learner.frames)

    @property
    def _units(self) -> dict[str, float]:
        """What was spent so far, in the units in which any two runs can be compared."""
        windows = self.progress.step * self.config.train.batch
        return {"windows": windows, "frames": self.frames, "seconds": self.seconds}

    def _check_due(self, stop: StopRequest) -> Due:
        train, now = self.config.train, time.monotonic()
        spent = spent_share(train, self.progress.step, self.seconds)
        due = Due(
            self.schedule.position(spent),
            spent >= 1,
            stop.signal or 0,
            now - self._validated > train.validate_every_s,
            now - self._saved > train.save_every_s,
        )
        return Due(*self.group.broadcast(due, self.device))

    def _train(self, log: RunLog | None, bar: ProgressBar, stop: StopRequest) -> None:
        progress = self.progress
        reporter = ProgressReporter(log, bar, self._units)
        self._validated = self._saved = time.monotonic()
        due = self._check_due(stop)
        while not (due.is_spent or due.stop):
            lr = learning_rate(self.config, progress.step, due.position)
            self._metrics = self.learner.train_step(progress.step, lr)
            progress.step += 1
            if progress.step % self.config.train.log_every == 0:
                self._check(numbers := self._metrics())
                spent = spent_share(self.config.train, progress.step, self.seconds)
                numbers |= self._units
                reporter.report(progress.step, spent, numbers, self.learner.data_wait_s)
            due = self._check_due(stop)
            if due.validation and not due.stop:
                self._validate(log, stop)
                due = self._check_due(stop)
            elif due.saving:
                self._save_state()
        if due.is_spent:
            bar(1.0, 1.0)

    def _finish(self, log: RunLog | None, stop: StopRequest) -> int:
        """Save, then validate what is not validated yet; returns the signal that ended the run, 0 for none."""
        progress, number = self.progress, int(self._check_due(stop).stop)
        self._ended = time.monotonic()
        progress.validation_due = progress.validated_step != progress.step
        self._save_state()
        self._save_last()
        if number and self.group.is_main:
            name = signal.Signals(number).name
            logger.warning("%s: saved at step %d, run again to go on", name, progress.step)
        if progress.validation_due and number != signal.SIGTERM:
            if number:
                logger.info("validating step %d; Ctrl-C skips it until the next run", progress.step)
            with StopRequest() as skip:
                self._validate(log, skip)
                number = number or int(self._check_due(skip).stop)
        return number

    def _validate(self, log: RunLog | None, stop: StopRequest) -> None:
        """Score the EMA weights, keep them as best where their loss is the lowest so far, and save the state.

        The loss of actions, or of text where no action is learned. Cut short by a request to stop, nothing changes.
        """
        units = self._units
        try:
            scores = self.learner.validate(lambda: bool(stop))
        except ValidationStopped:
            scores = None
        self._check(scores or {})
        best = self.progress.best
        is_better = scores is not None and _loss(scores) < _loss(best)
        is_done, is_better = map(
            bool, self.group.broadcast((scores is not None, is_better), self.device)
        )
        if not is_done:
            return
        self.progress.validated_step, self.progress.validation_due = self.progress.step, False
        if scores is not None:
            self._log_scores(scores, units, log)
        if is_better:
            self.progress.best, self.progress.best_step = scores or {}, self.progress.step
            self._save_checkpoint(BEST)
        self._save_state()
        self._validated = time.monotonic()

    def _log_scores(
        self, scores: dict[str, float], units: dict[str, float], log: RunLog | None
    ) -> None:
        if log is not None and self.has_validation:
            unknown = dict.fromkeys(GROUNDING) if "exact_match" in scores else {}
            log.write(self.progress.step, "validation", {**units, **unknown, **scores})
        text = ", ".join(f"{name} {value:.4g}" for name, value in scores.items() if "/" not in name)
        split = "validation" if self.has_validation else "training windows (none are held out)"
        logger.info("%s at step %d: %s", split, self.progress.step, text)

    def _check(self, numbers: dict[str, float]) -> None:
        if not all(map(math.isfinite, numbers.values())):
            raise self._divergence_error("the loss is no longer finite")

    def _divergence_error(self, reason: str) -> TrainError:
        """The reason and the way out; the state may hold weights that are about to diverge."""
        way_out = f"{self._restart} and a lower train.lr"
        if self.progress.best:
            way_out = (
                f"{self.run_dir / BEST} is intact: run again with a lower train.lr, and where that ends here too, "
                f"{self._restart}"
            )
        return TrainError(f"{reason} at step {self.progress.step}; {way_out}")

    def _save_state(self) -> None:
        self._check(self._metrics())
        self.progress.seconds, self.progress.frames = self.seconds, self.frames
        spent = spent_share(self.config.train, self.progress.step, self.progress.seconds)
        self.progress.schedule = self.schedule.position(spent)
        tensors = self.learner.state.tensors(self.group.is_main)
        if self.group.is_main:
            weights = {k: w for k, w in tensors.items() if not k.startswith("optimizer.")}
            if first_overflowing(weights):
                raise self._divergence_error("the weights are beyond half precision")
            save_state(self.run_dir / STATE, tensors, self.progress, self.fingerprint)
        self._saved = time.monotonic()

    def _save_last(self) -> None:
        self._save_checkpoint(LAST)
        if self.group.is_main:
            draw_curves(self.run_dir)

    def _save_checkpoint(self, name: str) -> None:
        weights = self.learner.ema_weights()
        if self.group.is_main:
            save(self.run_dir / name, weights, self.learner.header(self._metadata()))

    def _metadata(self) -> dict[str, object]:
        return {
            "steps": self.progress.step,
            "minutes": round(self.seconds / 60, 2),
            "windows": self.progress.step * self.config.train.batch,
            "episodes": self.corpus.episodes,
            "frames": len(self.corpus.dataset.target_actions),
            "validation": {k: round(v, 5) for k, v in self.progress.best.items()},
        }


def _loss(scores: dict[str, float]) -> float:
    """The loss that decides which checkpoint is the best."""
    return scores.get("action_nats_per_token", scores.get("language", math.inf))


def check_budget(config: RunConfig) -> None:
    """Raises `ConfigError` where a run has no end."""
    if not (config.train.steps or config.train.minutes):
        raise ConfigError("set a budget: train.steps or train.minutes")

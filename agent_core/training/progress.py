"""Training progress: rows of the log, a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time

import torch
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from agent_core.training.run_log import RunLog

logger = logging.getLogger("iafm.train")
__all__ = ["Bar", "ProgressReporter", "TaskID", "as_metrics", "progress_bar"]


class ProgressReporter:
    """Reports to the log, to the bar and, where there is no terminal, as a line every ten seconds."""

    def __init__(
        self,
        log: RunLog | None,
        bar: Bar,
        task: TaskID,
        batch: int,
        step: int,
    ) -> None:
        self.log, self.bar, self.task = log, bar, task
        self.batch = batch
        self.step, self.since = step, time.monotonic()
        self.printed = time.monotonic()
        self.data_wait_s = 0.0

    def report(
        self,
        step: int,
        progress: float,
        numbers: dict[str, float],
        data_wait_s: float | None = None,
    ) -> None:
        """The numbers of one step, and windows per second since the last report.

        `data_wait_s` is the time spent waiting for data so far, where it is known; logged is its share of the time
        since the last report.
        """
        now = time.monotonic()
        spent = now - self.since
        rate = (step - self.step) * self.batch / spent
        numbers["windows_per_s"] = rate
        note = f"step {step} action {numbers['action_nats_per_token']:.3f} nats/token {rate:.0f} windows/s"
        if data_wait_s is not None:
            numbers["data_wait"] = share = (data_wait_s - self.data_wait_s) / spent
            note += f" waiting for data {100 * share:.0f} %"
            self.data_wait_s = data_wait_s
        self.step, self.since = step, now
        if self.log is None:
            return
        self.log.write(step, "train", numbers)
        self.bar.update(self.task, completed=progress, note=note)
        if not sys.stderr.isatty() and now - self.printed > 10:
            self.printed = now
            logger.info("%3.0f %% %s", 100 * progress, note)


def as_metrics(losses: torch.Tensor, norm: torch.Tensor, lr: float) -> dict[str, float]:
    """Losses [total, language, mae, action], the gradient's norm and the learning rate, as the log has them.

    Language and actions in nats per token, masked patches as squared error.
    """
    values = torch.cat([losses, norm[None]]).tolist()
    names = ("total", "language", "mae", "action_nats_per_token", "gradient_norm")
    return {**dict(zip(names, values, strict=True)), "lr": lr}


def progress_bar(shown: bool) -> Bar:
    """A progress bar on a terminal's standard error, elsewhere a silent one."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    later = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    return Bar(
        *columns, *later, console=Console(stderr=True), disable=not (shown and sys.stderr.isatty())
    )

"""What does training say while it runs? Rows of the log, a bar on a terminal, lines where there is none."""

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
    """Tells the log, the bar and, where nobody watches the bar, a line every ten seconds how training goes."""

    def __init__(
        self,
        log: RunLog | None,
        bar: Bar,
        task: TaskID,
        batch: int,
        step: int,
        unit: str = "windows",
    ) -> None:
        self.log, self.bar, self.task = log, bar, task
        self.batch, self.unit = batch, unit
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
        """The numbers of one step, and how many windows (or what `unit` counts) a second since the last ones.

        `waited_s` is how long training has waited for data in all, where that is known; said is the share of the time
        since the last ones.
        """
        now = time.monotonic()
        spent = now - self.since
        rate = (step - self.step) * self.batch / spent
        numbers[f"{self.unit}_per_s"] = rate
        note = f"step {step} action {numbers['action']:.3f} {rate:.0f} {self.unit}/s"
        if data_wait_s is not None:
            numbers["data_wait"] = waiting = (data_wait_s - self.data_wait_s) / spent
            note += f" waiting for data {100 * waiting:.0f} %"
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
    """Losses [total, language, mae, action], the gradient's norm and the rate, as the log has them."""
    values = torch.cat([losses, norm[None]]).tolist()
    names = ("total", "language", "mae", "action", "gradient_norm")
    return {**dict(zip(names, values, strict=True)), "lr": lr}


def progress_bar(shown: bool) -> Bar:
    """A progress bar on a terminal's standard error, elsewhere a silent one."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    later = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    return Bar(
        *columns, *later, console=Console(stderr=True), disable=not (shown and sys.stderr.isatty())
    )

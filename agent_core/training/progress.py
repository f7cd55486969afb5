"""Progress of training: rows of the run's log, and the progress bar with the last losses."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import torch

from agent_core.training.progress_bar import ProgressBar
from agent_core.training.run_log import RunLog

logger = logging.getLogger("iafm.train")


class ProgressReporter:
    """Writes losses, rates and data wait to the run's log (None: another process does) and beside the bar."""

    def __init__(self, log: RunLog | None, bar: ProgressBar, units: Mapping[str, float]) -> None:
        self.log, self.bar = log, bar
        self.units, self.since = dict(units), time.monotonic()
        self.data_wait_s = 0.0

    def report(
        self,
        step: int,
        progress: float,
        numbers: dict[str, float],
        data_wait_s: float | None = None,
    ) -> None:
        """Report one step's metrics, with the rates in windows and frames per second since the last report.

        `numbers` has the windows and frames so far. `data_wait_s` is the time that training has waited for data in
        all; `data_wait` in the log is its share of the time since the last report.
        """
        now = time.monotonic()
        spent = now - self.since
        for unit in ("windows", "frames"):
            numbers[f"{unit}_per_s"] = (numbers[unit] - self.units[unit]) / spent
        note = f"step {step} action {numbers['action_nats_per_token']:.3f} nats/token "
        note += f"{numbers['windows_per_s']:.0f} windows/s {numbers['frames_per_s']:.0f} frames/s"
        if data_wait_s is not None:
            numbers["data_wait"] = share = (data_wait_s - self.data_wait_s) / spent
            note += f" waiting for data {100 * share:.0f} %"
            self.data_wait_s = data_wait_s
        self.units, self.since = dict(numbers), now
        if self.log is None:
            return
        self.log.write(step, "train", numbers)
        self.bar(progress, 1.0, note)


def as_metrics(losses: torch.Tensor, norm: torch.Tensor, lr: float) -> dict[str, float]:
    """Losses [total, language, mae, action], the gradient's norm and the learning rate, as the log has them.

    Language and actions in nats per token, masked patches as squared error.
    """
    values = torch.cat([losses, norm[None]]).tolist()
    names = ("total", "language", "mae", "action_nats_per_token", "gradient_norm")
    return {**dict(zip(names, values, strict=True)), "lr": lr}


def progress_bar(shown: bool) -> ProgressBar:
    """The bar of a training run; without a terminal its lines go to the log of messages, with their time."""
    return ProgressBar("training", shown=shown, write=logger.info)

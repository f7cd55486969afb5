"""Training report: what a run came to, and what its reader should be warned of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent_core.training.grounding import grounding_warning
from agent_core.training.resume import RunProgress
from recorder import Skipped

FEW_STEPS = 1000
"""Optimizer steps below which even the smallest model is far from converged."""


@dataclass(frozen=True)
class TrainReport:
    """What a run came to. Validation scores are those of the best checkpoint, NaN where a run has none."""

    best: Path
    """The checkpoint with the lowest validation loss; the last one where nothing was validated yet."""
    steps: int
    windows: int
    """Windows trained on, in all steps: for the CNN+GRU, sequences."""
    frames: int
    """Frames in these."""
    epochs: float
    """Passes over the data: windows by steps that a window may end on."""
    minutes: float
    best_step: int
    action_nats_per_token: float
    exact_match: float
    exact_match_grounding: float
    """Of the windows that the next two are of."""
    exact_match_swapped: float
    """With the instruction of another episode."""
    exact_match_no_words: float
    """With no instruction."""
    change_accuracy: float
    language_loss: float
    """Nats per token of instructions and thoughts."""
    windows_per_s: float
    frames_per_s: float
    parameters: int
    interrupted: bool = False
    exit_code: int = 0
    """130 after Ctrl-C, 143 after SIGTERM, else 1 where episodes were skipped."""
    rank: int = 0
    """Of the process; all but 0 have nothing to add."""
    skipped: tuple[Skipped, ...] = ()
    """Episodes that could not be read, and were left out."""
    grounding_warnings: tuple[str, ...] = ()
    """A warning for every game whose instructions differ and make no difference."""

    @property
    def warnings(self) -> list[str]:
        """What the numbers above do not say by themselves, one line each."""
        lines = []
        if self.steps < FEW_STEPS:
            lines.append(
                f"only {self.steps} steps ({self.windows} windows, {self.epochs:.2g} passes over the data): models of "
                f"this kind need thousands; raise train.minutes or train.steps, or lower train.batch"
            )
        return [*lines, *self.grounding_warnings]


def grounding_warnings(scores: Mapping[str, float]) -> tuple[str, ...]:
    """A warning for every game of validation scores whose instructions differ and make no difference."""
    of_games = [name for name in scores if name.startswith("grounding_low/")]
    warnings = []
    for name in of_games or [name for name in scores if name == "grounding_low"]:
        _, slash, game = name.partition("/")

        def score(figure: str, suffix: str = slash + game) -> float:
            return scores[figure + suffix]

        own, swapped = score("exact_match_grounding"), score("exact_match_swapped")
        interval = score("grounding_low"), score("grounding_high")
        what = f"exact match{' on ' + game if game else ''} is"
        warnings.append(grounding_warning(what, own, swapped, interval, score("grounding_windows")))
    return tuple(line for line in warnings if line)


def make_report(
    run_dir: Path,
    progress: RunProgress,
    *,
    batch: int,
    steps_of_data: int,
    steps_per_s: float,
    frames_per_s: float,
    parameters: int,
    signal: int,
    rank: int,
    skipped: tuple[Skipped, ...] = (),
) -> TrainReport:
    """The report of a run that stands at `progress`; `signal` is what ended it, 0 where nothing did."""
    best, windows = progress.best, progress.step * batch

    def score(name: str) -> float:
        return best.get(name, math.nan)

    return TrainReport(
        run_dir / ("best" if best else "last"),
        progress.step,
        windows,
        progress.frames,
        round(windows / steps_of_data, 3),
        progress.seconds / 60,
        progress.best_step,
        score("action_nats_per_token"),
        score("exact_match"),
        score("exact_match_grounding"),
        score("exact_match_swapped"),
        score("exact_match_no_words"),
        score("change_accuracy"),
        score("language"),
        steps_per_s * batch,
        frames_per_s,
        parameters,
        bool(signal),
        128 + signal if signal else int(bool(skipped)),
        rank,
        skipped,
        grounding_warnings(best),
    )

"""Match scores: how near predicted actions are to those of recorded matches, with intervals over the matches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from agent_core.evaluation import metrics
from games import Action, GameSpec

Scores = dict[str, float | None]
"""A value for each of `NAMES`; None where it is undefined."""
NAMES = {
    "bleu4": "BLEU-4, action tokens",
    "bleu4_13a": "BLEU-4, sacrebleu 13a",
    "exact": "exact match",
    "button_f1": "button F1",
    "stick_deg": "stick angle error, degrees",
    "stick_magnitude": "stick magnitude error",
    "camera_deg": "camera error, degrees",
    "change_f1": "F1 at changes",
}
"""Each score with its title."""


def match_scores(spec: GameSpec, predicted: Sequence[Action], wanted: Sequence[Action]) -> Scores:
    """The scores of one match, a predicted and a wanted action for each step in order."""
    values = (
        metrics.bleu(spec, predicted, wanted),
        metrics.bleu(spec, predicted, wanted, tokenize="13a"),
        metrics.exact_match(predicted, wanted),
        metrics.button_f1(spec, predicted, wanted),
        metrics.stick_mae_deg(spec, predicted, wanted),
        metrics.stick_magnitude_mae(spec, predicted, wanted),
        metrics.camera_mae_deg(spec, predicted, wanted),
        metrics.change_f1(predicted, wanted),
    )
    return {name: _rounded(value) for name, value in zip(NAMES, values, strict=True)}


def button_scores(spec: GameSpec, predicted: Sequence[Action], wanted: Sequence[Action]) -> Scores:
    """F1 of each button; None for one that nobody pressed."""
    by_button = metrics.f1_by_button(spec, predicted, wanted)
    return {name: _rounded(value) for name, value in by_button.items()}


def mean_scores(by_match: Sequence[Scores]) -> dict[str, Any]:
    """Means over the matches in which a score is defined; `intervals` has their 95 % intervals by bootstrap.

    Every match counts the same, however long. An interval is None where fewer than two matches have the score.
    """
    means: dict[str, Any] = {}
    intervals: dict[str, list[float] | None] = {}
    for name in NAMES:
        values = [value for scores in by_match if (value := scores[name]) is not None]
        means[name] = _rounded(sum(values) / len(values)) if values else None
        interval = metrics.bootstrap_interval(values)
        intervals[name] = None if interval is None else [round(bound, 4) for bound in interval]
    return {**means, "intervals": intervals}


def _rounded(value: float | None) -> float | None:
    """To four digits; None where undefined."""
    return None if value is None or math.isnan(value) else round(value, 4)

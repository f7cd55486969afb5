"""Metrics of predicted actions, and the interval of a success rate.

BLEU-4 alone misleads on play, where most actions repeat: read it beside the baselines and the F1 at changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU

from games import Action, Button, Camera, GameSpec, Stick


def bleu(
    spec: GameSpec,
    predicted: Sequence[Action],
    wanted: Sequence[Action],
    order: int = 4,
    tokenize: str = "none",
) -> float | None:
    """Corpus BLEU in [0, 1] of action tokens up to n-grams of `order`, one segment per step, markers included.

    sacrebleu with exponential smoothing. `tokenize` "none" takes action strings as the tokens that they are; "13a",
    sacrebleu's default, cuts off their brackets, so that an empty action has six tokens. None where it is undefined: no
    wanted action has so many tokens (an action of one token has three with its markers).
    """
    if tokenize == "none" and bleu_order(spec, wanted) < order:
        return None
    hypotheses = [" ".join(spec.encode(action)) for action in predicted]
    references = [" ".join(spec.encode(action)) for action in wanted]
    metric = BLEU(tokenize=tokenize, force=True, max_ngram_order=order)
    return float(metric.corpus_score(hypotheses, [references]).score) / 100


def bleu_order(spec: GameSpec, wanted: Sequence[Action]) -> int:
    """The largest n-gram order, at most 4, for which BLEU is defined."""
    return min(4, max((len(spec.encode(action)) for action in wanted), default=0))


def exact_match(predicted: Sequence[Action], wanted: Sequence[Action]) -> float:
    """Share of steps whose whole action is right."""
    return float(np.mean([p == w for p, w in zip(predicted, wanted, strict=True)]))


def button_f1(spec: GameSpec, predicted: Sequence[Action], wanted: Sequence[Action]) -> float:
    """F1 averaged over the buttons that are pressed at least once in either (macro F1)."""
    by_button = f1_by_button(spec, predicted, wanted)
    scores = [score for score in by_button.values() if not math.isnan(score)]
    return float(np.mean(scores)) if scores else math.nan


def f1_by_button(
    spec: GameSpec, predicted: Sequence[Action], wanted: Sequence[Action]
) -> dict[str, float]:
    """F1 of each button by name; NaN for one that is pressed in neither."""
    scores = {}
    for control in spec.controls:
        if isinstance(control, Button):
            p = np.array([bool(a[control.name]) for a in predicted])
            w = np.array([bool(a[control.name]) for a in wanted])
            scores[control.name] = _f1(int((p & w).sum()), int(p.sum()), int(w.sum()))
    return scores


def camera_mae_deg(spec: GameSpec, predicted: Sequence[Action], wanted: Sequence[Action]) -> float:
    """Mean absolute error of pitch and yaw together, in degrees per axis."""
    names = [c.name for c in spec.controls if isinstance(c, Camera)]
    if not names:
        return math.nan
    p = np.array([[a[n] for n in names] for a in predicted], float)
    w = np.array([[a[n] for n in names] for a in wanted], float)
    return float(np.abs(p - w).mean())


def stick_mae_deg(spec: GameSpec, predicted: Sequence[Action], wanted: Sequence[Action]) -> float:
    """Mean angle between predicted and wanted stick, at most 180°, where both are away from rest (NaN: nowhere).

    A stick at rest has no angle: whether it is moved at all is for `stick_magnitude_mae` to say.
    """
    p, w = _stick_values(spec, predicted), _stick_values(spec, wanted)
    moved = (p[:, 1] > 0) & (w[:, 1] > 0)
    turns = np.abs(p[moved, 0] - w[moved, 0]) % 360
    return float(np.minimum(turns, 360 - turns).mean()) if len(turns) else math.nan


def stick_magnitude_mae(
    spec: GameSpec, predicted: Sequence[Action], wanted: Sequence[Action]
) -> float:
    """Mean absolute error of how far the sticks are pushed, of 0 to 1; NaN without sticks."""
    p, w = _stick_values(spec, predicted), _stick_values(spec, wanted)
    return float(np.abs(p[:, 1] - w[:, 1]).mean()) if len(p) else math.nan


def _stick_values(spec: GameSpec, actions: Sequence[Action]) -> NDArray[np.float64]:
    """Angle and magnitude of every stick at every step, (steps x sticks, 2)."""
    names = [c.name for c in spec.controls if isinstance(c, Stick)]
    values = [action[name] for action in actions for name in names]
    return np.array(values, float).reshape(-1, 2)


def change_f1(predicted: Sequence[Action], wanted: Sequence[Action]) -> float:
    """F1 at changes of action.

    A true positive is a step where the wanted action differs from the wanted one before it and the prediction is
    exactly the new action; predicted changes are predictions that differ from that last wanted action. The first step
    does not count; the order must be that of the episode. NaN where nothing changes.
    """
    hits = predicted_changes = changes = 0
    for before, p, w in zip(wanted[:-1], predicted[1:], wanted[1:], strict=True):
        changes += w != before
        predicted_changes += p != before
        hits += w != before and p == w
    return _f1(hits, predicted_changes, changes)


def wilson_interval(successes: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(
    values: Sequence[float], resamples: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % interval of a mean, by resampling the values with replacement (percentile bootstrap, Efron 1979).

    None of fewer than two values. Of few values it is too narrow: five give about 85 % instead of 95 %.
    """
    if len(values) < 2:
        return None
    drawn = np.random.default_rng(seed).choice(np.asarray(values), (resamples, len(values)))
    low, high = np.percentile(drawn.mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _f1(hits: int, predicted: int, wanted: int) -> float:
    return 2 * hits / (predicted + wanted) if predicted + wanted else math.nan

"""Grounding: whether instructions make a difference, judged by the same tries with another instruction."""

from __future__ import annotations

import math
from collections.abc import Sequence

WAY_OUT = (
    "if the model ignores them: train longer, record more episodes in which instructions differ and pictures do not, "
    "and see that an instruction says what the actions depend on"
)


def paired_interval(only_first: float, only_second: float, n: float) -> tuple[float, float]:
    """The 95 % interval of the difference of two shares of the same `n` tries (Agresti and Min 2005).

    So many tries succeed in the first way alone, and in the second way alone; half a try is added to each of the four
    kinds, so that the interval holds for few tries too.
    """
    difference, tries = only_first - only_second, n + 2
    deviation = math.sqrt(only_first + only_second + 1 - difference**2 / tries)
    low, high = ((difference + sign * 1.96 * deviation) / tries for sign in (-1, 1))
    return max(-1.0, low), min(1.0, high)


def paired_grounding_warning(what: str, pairs: Sequence[tuple[bool, bool]]) -> str | None:
    """`grounding_warning` of tries that succeeded with the right instruction, and with another."""
    n = len(pairs)
    own, swapped = (sum(column) for column in zip(*pairs, strict=True))
    both = sum(first and second for first, second in pairs)
    interval = paired_interval(own - both, swapped - both, n)
    return grounding_warning(what, own / n, swapped / n, interval, n)


def grounding_warning(
    what: str, own: float, swapped: float, interval: tuple[float, float], n: float
) -> str | None:
    """A warning where words make no difference that `n` tries show; None where they do.

    `own` and `swapped` are shares with the right instruction and with another, `interval` that of their difference.
    """
    low, high = interval
    if low > 0:
        return None
    return (
        f"instructions make no certain difference: {what} {own:.1%}, with another episode's instruction {swapped:.1%} "
        f"(of {n:.0f}; the difference is between {low:+.1%} and {high:+.1%}, at 95 %); {WAY_OUT}"
    )

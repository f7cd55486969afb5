"""Bins of analogue controls: their number, their levels, the nearest one, and how their tokens are written."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Annotated

from pydantic import FailFast, Field

MAX_BINS = 1024
"""Most bins of an axis or of one of a camera's or stick's two numbers, and most options of a choice."""
MAX_TURN_DEG = 360.0
"""Largest turn of a camera within one step."""
MAX_NUMBER = 1e9
"""Largest magnitude of an axis."""
MIN_SPACING = 1e-6
"""Smallest distance of two levels of an axis."""
_MOST_DECIMALS = 9

Number = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Turns = Annotated[
    tuple[Annotated[float, Field(ge=-MAX_TURN_DEG, le=MAX_TURN_DEG)], ...],
    FailFast(),
    Field(min_length=1, max_length=MAX_BINS),
]
TokenForm = Annotated[str, Field(pattern=r"^[^{}\s]*\{\}[^{}\s]*$", max_length=64)]
"""How tokens are written: text with exactly one {}, which stands for the bin."""
OptionalTokenForm = Annotated[str, Field(pattern=r"^([^{}\s]*\{\}[^{}\s]*)?$", max_length=64)]
"""A token form, or "" for the default."""


def even_levels(low: float, high: float, bins: int) -> tuple[float, ...]:
    """`bins` evenly spaced levels from low to high."""
    width = (high - low) / (bins - 1)
    return tuple(low + i * width for i in range(bins))


def nearest(bins: Sequence[float], value: float) -> float:
    """The bin nearest to a value; of two, the one nearer to zero. `bins` ascend."""
    i = bisect_left(bins, value)
    return min(bins[max(i - 1, 0) : i + 1], key=lambda b: (abs(b - value), abs(b)))


def degrees(number: float) -> str:
    """A turn as it stands in tokens: "9", "-1.5"."""
    return f"{number:g}"


def decimals(levels: Sequence[float], least: int) -> int:
    """The fewest decimals, `least` or more, with which every level is the nearest one to its number in words."""
    for count in range(least, _MOST_DECIMALS):
        if all(nearest(levels, round(level, count)) == level for level in levels):
            return count
    return _MOST_DECIMALS

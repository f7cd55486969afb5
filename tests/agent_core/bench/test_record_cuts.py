"""Recordings that are cut off: the benchmark counts, and there is nothing to count."""

from collections import Counter

import pytest

from agent_core.bench.record_cuts import (
    BITS,
    _lost_and_doubled,
    bench_record_cuts,
    number_of,
    numbered_frame,
)


@pytest.mark.parametrize("number", [0, 1, 77, (1 << BITS) - 1])
def test_a_picture_carries_its_number(number: int) -> None:
    assert number_of(numbered_frame(number)) == number


def test_what_is_lost_or_doubled_is_counted() -> None:
    assert _lost_and_doubled(Counter({0: 1, 2: 3}), 4) == (2, 2)
    assert _lost_and_doubled(Counter(["a", "b", "b"]), ["a", "c"]) == (1, 1)


def test_cuts_lose_and_double_nothing_of_a_recording() -> None:
    report = bench_record_cuts(cuts=4, seed=5)
    sent = {"cuts", "episodes", "pictures", "texts"}
    assert all(report.pop(name) for name in sent)
    assert set(report.values()) == {0}

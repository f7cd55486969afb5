"""Grounding: intervals of paired shares against values by hand, and when a warning is due."""

import pytest

from agent_core.training.grounding import grounding_warning, paired_interval


def test_paired_intervals() -> None:
    # 30 of 100 only in the first way, 10 only in the second: 20 / 102 +- 1.96 * sqrt(41 - 400 / 102) / 102
    assert paired_interval(30, 10, 100) == pytest.approx((0.0790, 0.3131), abs=1e-4)
    low, high = paired_interval(0, 0, 512)
    assert low == -high == pytest.approx(-1.96 / 514)
    assert paired_interval(0, 0, 0)[0] < -0.9
    assert paired_interval(5, 0, 5)[0] > 0


def test_a_warning_says_figures_and_the_way_out() -> None:
    assert grounding_warning("exact match is", 0.9, 0.6, (0.25, 0.35), 500) is None
    line = grounding_warning("exact match is", 0.776, 0.778, (-0.01, 0.006), 500)
    assert line is not None
    assert line.startswith(
        "instructions make no certain difference: exact match is 77.6%, with another"
    )
    assert "(of 500; the difference is between -1.0% and +0.6%, at 95 %)" in line
    assert "train longer" in line

"""Bots: each grade beats the one below."""

from itertools import pairwise

import pytest

from games.brawl.skill import GRADES
from games.brawl.tournament import play_tournament, standing


def test_each_grade_wins_against_the_one_below() -> None:
    for worse, better in pairwise(GRADES.values()):
        assert play_tournament(better, worse, 1, first_seed=100).wins == 1


@pytest.mark.slow
def test_each_grade_is_surely_better_than_the_one_below() -> None:
    for worse, better in pairwise(GRADES.values()):
        assert play_tournament(better, worse, 40).low > 0.7
    assert play_tournament(GRADES["regular"], GRADES["regular"], 60).low < 0.5


def test_the_interval_is_wilsons() -> None:
    assert (standing(5, 10).low, standing(5, 10).high) == (0.237, 0.763)
    assert standing(10, 10).high == pytest.approx(1.0)

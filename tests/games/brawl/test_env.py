"""Brawl environment: the contract of `games.Env`."""

import numpy as np
import pytest

from games.brawl import BrawlEnv
from games.check import check_env
from games.registry import load


def test_it_keeps_the_contract() -> None:
    assert check_env(BrawlEnv(), steps=18) == []
    assert load("brawl").make is BrawlEnv


def test_a_finer_picture_for_people_changes_nothing_that_an_agent_gets() -> None:
    plain, fine = BrawlEnv(), BrawlEnv()
    for env in (plain, fine):
        env.reset(seed=5, options={"task": "win_match"})
    fine.picture_detail = 2
    assert fine.native_frame.shape == (360, 640, 3)
    action = {"left_stick": (0.0, 1.0), "MeleeAttack": 1}
    one, other = plain.step(action)[0], fine.step(action)[0]
    assert np.array_equal(one["frame"], other["frame"])
    assert np.array_equal(plain.native_frame, one["frame"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "defend_pointt"}, "did you mean 'defend_point'"),
        ({"task": "defend_point", "about": "D"}, "about one of"),
        ({"seat": 8}, "seats are 0 to 7"),
        ({"enemies": "veterann"}, "did you mean 'veteran'"),
    ],
)
def test_odd_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BrawlEnv().reset(seed=1, options=options)

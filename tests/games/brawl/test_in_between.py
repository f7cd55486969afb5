"""In-between pictures: they move, and leave the match and what an agent sees as they are."""

import numpy as np
import pytest

from games.brawl import BrawlEnv
from games.human.contracts import Smooth


def test_pictures_between_steps_move_and_change_nothing() -> None:
    plain, watched = BrawlEnv(), BrawlEnv()
    assert isinstance(watched, Smooth)
    for env in (plain, watched):
        env.reset(seed=5, options={"task": "win_match"})
    action = {"left_stick": (0.0, 1.0), "right_stick": (90.0, 0.5), "MeleeAttack": 1}
    for _ in range(3):
        before = watched.native_frame
        one, other = plain.step(action)[0], watched.step(action)[0]
        assert np.array_equal(one["frame"], other["frame"])
        halfway = watched.frame_between(0.5)
        assert not np.array_equal(halfway, before)
        assert not np.array_equal(halfway, watched.native_frame)
        assert np.array_equal(watched.frame_between(1.0), watched.native_frame)
    places = [(f.x, f.y, f.yaw, f.health) for f in plain.match.fighters]
    assert places == [(f.x, f.y, f.yaw, f.health) for f in watched.match.fighters]
    assert plain.match.tick == watched.match.tick


def test_who_came_back_is_not_shown_on_the_way() -> None:
    env = BrawlEnv()
    env.reset(seed=5, options={"task": "win_match", "seat": 2})
    env.step({})
    f = env.match.fighters[2]
    seen = env.frame_between(0.5)
    f.x += 20
    assert f.x == pytest.approx(env.match.fighters[2].x)
    assert not np.array_equal(env.frame_between(0.5), seen)

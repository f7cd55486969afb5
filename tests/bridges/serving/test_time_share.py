"""Time share: a tenth of the time is a tenth of the time."""

import pytest

from bridges.serving.time_share import PLAYING_S, PolicyShares, TimeShare


def test_it_rests_until_its_work_was_its_share() -> None:
    share = TimeShare(0.1)
    assert share.wait_s(0.0) == 0
    share.spent(0.0, 2.0)
    assert share.wait_s(2.0) == pytest.approx(18)
    assert share.wait_s(20.0) == pytest.approx(0)
    assert share.wait_s(100.0) == 0


def test_it_rests_only_while_games_are_answered() -> None:
    shares = PolicyShares()
    shares.calls.spent(0.0, 10.0)
    assert shares.may_start(shares.calls, 10.0)
    shares.last_pass = 10.0
    assert not shares.may_start(shares.calls, 10.1)
    assert shares.may_start(shares.suspects, 10.1)
    assert shares.may_start(shares.calls, 10.0 + PLAYING_S)

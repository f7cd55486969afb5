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
    shares.spent("questions", 0.0, 10.0)
    assert shares.next_extra(["questions"], 10.0, games_wait=False) == "questions"
    shares.last_pass = 10.0
    assert shares.next_extra(["questions"], 10.1, games_wait=False) is None
    assert shares.next_extra(["questions"], 10.0 + PLAYING_S, games_wait=False) == "questions"


def test_both_kinds_have_one_share_and_it_is_less_while_a_game_waits() -> None:
    shares = PolicyShares()
    shares.spent("questions", 1.0, 1.04)
    for now, games_wait, extra in (
        (1.3, False, None),
        (1.41, True, None),
        (1.41, False, "suspects"),
        (2.99, True, None),
        (3.01, True, "suspects"),
    ):
        shares.last_pass = now
        assert shares.next_extra(["suspects"], now, games_wait=games_wait) == extra


def test_they_take_turns() -> None:
    shares = PolicyShares()
    assert shares.next_extra([], 0.0, games_wait=False) is None
    assert shares.next_extra(["suspects", "questions"], 0.0, games_wait=False) == "suspects"
    shares.spent("suspects", 0.0, 0.01)
    assert shares.next_extra(["suspects", "questions"], 1.0, games_wait=False) == "questions"
    assert shares.next_extra(["suspects"], 1.0, games_wait=False) == "suspects"


def test_new_sessions_wait_for_no_question() -> None:
    shares = PolicyShares()
    shares.last_pass = 1.0
    shares.spent("questions", 0.9, 1.0)
    assert shares.may_attach(1.0)
    shares.attaches.spent(1.0, 1.01)
    assert not shares.may_attach(1.05)
    assert shares.may_attach(1.11)

"""Backoff: delays grow up to a cap, and some closes are final."""

import pytest

from bridges.errors import BridgeError, DisconnectedError
from bridges.protocol.backoff import SHORT_S, Backoff, Retries, is_final


def test_delays_double_up_to_the_cap_and_jitter_shortens_them() -> None:
    backoff = Backoff(first_s=0.1, cap_s=1, patience_s=5)
    assert [backoff.delay_s(n, 1) for n in range(5)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1])
    assert backoff.delay_s(10_000, 0.5) == 0.5
    assert backoff.delay_s(3, 0) == 0
    assert not backoff.is_over(4.9)
    assert backoff.is_over(5)
    assert Backoff(patience_s=0).is_over(0)


@pytest.mark.parametrize("code", [1000, 1009, 4400, 4401, 4403, 4409, 4413, 4415, 4426])
def test_another_try_does_not_help(code: int) -> None:
    assert is_final(code, welcomed=False)
    assert is_final(code, welcomed=True)


@pytest.mark.parametrize("code", [None, 1001, 1011, 4408, 4503, 4504])
def test_another_try_may_help(code: int | None) -> None:
    assert not is_final(code, welcomed=False)
    assert not is_final(code, welcomed=True)


def test_a_full_server_is_tried_again_and_a_budget_is_kept() -> None:
    assert not is_final(4429, welcomed=False)
    assert is_final(4429, welcomed=True)


LOST = DisconnectedError("lost")


def test_a_connection_that_lasted_begins_the_backoff_anew() -> None:
    retries = Retries(Backoff(first_s=1, cap_s=100))
    ended = DisconnectedError("ended", 1001)
    retries.opened(0)
    retries.lost(ended, 1)
    assert [retries.next_delay_s(1) for _ in range(3)] == [1, 2, 4]
    retries.opened(10)
    retries.lost(ended, 10 + SHORT_S)  # which was short
    assert retries.next_delay_s(0.5) == 4
    retries.opened(20)
    retries.lost(ended, 21 + SHORT_S)
    assert retries.next_delay_s(1) == 1
    retries.lost(LOST, 30)
    assert retries.next_delay_s(1) == 1


def test_tries_end_with_the_patience_or_a_final_close() -> None:
    retries = Retries(Backoff(patience_s=10))
    retries.lost(LOST, 5)
    retries.failed(LOST, 14)
    assert retries.waited_s(14) == 9
    with pytest.raises(BridgeError, match=r"^no connection for 10 s: lost$"):
        retries.failed(LOST, 15)
    for ends in (retries.failed, retries.lost):
        with pytest.raises(DisconnectedError, match="wrong token"):
            ends(DisconnectedError("wrong token", 4401), 6)
    with pytest.raises(DisconnectedError, match="lost"):
        Retries(Backoff(patience_s=0)).lost(LOST, 0)

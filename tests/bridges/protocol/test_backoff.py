"""Backoff: delays grow up to a cap, and some closes are final."""

import pytest

from bridges.protocol.backoff import Backoff, is_final


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

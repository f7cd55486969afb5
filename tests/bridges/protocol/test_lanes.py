"""Lanes: token buckets that fill by the time they are given."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.protocol.lanes import Budget, Lane, TokenBucket


def test_a_bucket_fills_to_its_capacity_and_is_overdrawn_by_as_much() -> None:
    bucket = TokenBucket(rate=10, burst_s=2, now=0)
    assert bucket.spend(20, 0) == 0
    assert bucket.spend(10, 0) == -0.5
    assert bucket.spend(100, 0) == -1
    assert bucket.spend(0, 1) == -0.5
    assert bucket.spend(0, 100) == 1


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=1, burst_s=1, now=10)
    assert bucket.spend(1, 10) == 0
    assert bucket.spend(0, 5) == 0
    assert bucket.spend(0, 10) == 0


def test_a_lane_says_what_it_allows() -> None:
    lane = Lane("pictures", Budget(messages_per_s=60, bytes_per_s=3 << 20), 0)
    assert str(lane) == "60 pictures and 3 MiB of them a second"


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 50)), max_size=20))
def test_never_more_passes_than_the_burst_and_the_rate(steps: list[tuple[float, float]]) -> None:
    bucket, now, passed = TokenBucket(rate=5, burst_s=2, now=0), 0.0, 0.0
    for wait, tokens in steps:
        now += wait
        if bucket.spend(tokens, now) >= 0:
            passed += tokens
    assert passed <= 10 + 5 * now + 1e-6

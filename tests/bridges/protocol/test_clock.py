"""Clock offset: the true one lies within half of the best round trip, whatever the delays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.protocol.clock import EXCHANGES, ClockOffset, Exchange

TIMES = st.floats(-1e6, 1e6)
DELAYS = st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(0, 20))


def exchange(at: float, offset: float, there: float, back: float, within: float) -> Exchange:
    """One over a line with these delays, with a server's clock that is `offset` ahead."""
    t1 = at + there + offset
    return Exchange(at, t1, t1 + within, at + there + within + back)


@settings(max_examples=20, deadline=None)
@given(offset=TIMES, start=TIMES, delays=st.lists(DELAYS, min_size=1, max_size=8))
def test_the_offset_is_within_half_a_round_trip(
    offset: float, start: float, delays: list[tuple[float, float, float]]
) -> None:
    estimate = ClockOffset()
    for n, (there, back, within) in enumerate(delays):
        estimate.add(exchange(start + 1000 * n, offset, there, back, within))
    best = estimate.best
    assert best is not None
    shortest = min(there + back for there, back, _ in delays)
    assert best.round_trip_ms == pytest.approx(shortest, abs=1e-6)
    assert abs(best.offset_ms - offset) <= shortest / 2 + 1e-6


def test_the_newest_exchanges_count_so_that_a_drift_is_followed() -> None:
    estimate = ClockOffset()
    estimate.add(exchange(0, 5, 0, 0, 0))
    for n in range(EXCHANGES):
        estimate.add(exchange(n, 7, 1, 1, 1))
    assert estimate.best is not None
    assert estimate.best.offset_ms == 7


def test_impossible_exchanges_are_left_out() -> None:
    estimate = ClockOffset()
    estimate.add(Exchange(t0=10, t1=0, t2=0, t3=9))
    estimate.add(Exchange(t0=0, t1=10, t2=9, t3=10))
    assert estimate.best is None

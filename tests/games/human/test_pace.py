"""Pace: steps keep their deadlines whatever a drawing costs, and what is lost is not caught up with in a rush."""

import pytest

from games.human.pace import COARSE_SECONDS, LAG_SECONDS, MAX_DETAIL, STARVED_SECONDS, Detail, Pace


def play(pace: Pace, seconds: float, step_cost: float, draw_cost: float) -> list[float]:
    """The loop of the window with a clock that only work moves on; returns when each step began."""
    now, steps = 0.0, []
    while now < seconds:
        if pace.is_due(now):
            pace.step(now)
            steps.append(now)
            now += step_cost
        if pace.may_draw(now):
            begin, now = now, now + draw_cost
            pace.drawn(begin, now)
        now += min(0.01, max(1e-4, pace.room(now)))
    return steps


def test_steps_are_at_their_deadlines() -> None:
    pace = Pace(20)
    steps = play(pace, 5.0, 0.005, 0.005)
    assert len(steps) in (99, 100)
    assert [round(t / 0.05) for t in steps] == list(range(1, len(steps) + 1))
    assert pace.rate == pytest.approx(20, rel=0.01)
    assert pace.mean_rate == pytest.approx(20, rel=0.01)


@pytest.mark.parametrize("draw_cost", [0.04, 0.06, 0.1])
def test_where_drawing_is_slow_it_draws_less_and_plays_as_fast(draw_cost: float) -> None:
    pace = Pace(20)
    steps = play(pace, 10.0, 0.02, draw_cost)
    assert len(steps) == pytest.approx(200, abs=3)
    assert 10 / STARVED_SECONDS * 0.5 < pace.drawings < 100
    assert not pace.is_slow


def test_a_game_that_is_slow_itself_is_not_hurried_afterwards() -> None:
    pace = Pace(20)
    play(pace, 3.0, 0.2, 0.001)
    assert pace.is_slow
    steps = play_on(pace, 3.0, 6.0)
    assert sum(t < 3.0 + LAG_SECONDS for t in steps) <= 2 * LAG_SECONDS * 20 + 2


def play_on(pace: Pace, begin: float, end: float) -> list[float]:
    now, steps = begin, []
    while now < end:
        if pace.is_due(now):
            pace.step(now)
            steps.append(now)
        now += 0.001
    return steps


def test_the_time_in_which_the_game_waits_is_in_no_rate() -> None:
    pace = Pace(20)
    play_on(pace, 0.0, 2.0)
    pace.hold()
    assert pace.rate is None
    assert pace.room(2.0) == float("inf")
    play_on(pace, 50.0, 52.0)
    assert pace.mean_rate == pytest.approx(20, rel=0.03)


def test_a_drawing_is_soon_where_keys_came_in() -> None:
    pace = Pace(1)
    pace.drawn(0.0, 0.001)
    assert not pace.may_draw(0.05)
    assert pace.may_draw(0.05, has_input=True)
    assert pace.may_draw(0.11)


def test_a_slow_picture_is_coarse_for_a_while_and_longer_each_time() -> None:
    detail = Detail()
    seen = [detail.choose(float(second), is_slow=second in (5, 25)) for second in range(60)]
    coarse = [second for second, level in enumerate(seen) if level == 1]
    first, again = int(5 + COARSE_SECONDS), int(25 + 2 * COARSE_SECONDS)
    assert coarse == [*range(5, first), *range(25, again)]
    assert set(seen) == {1, MAX_DETAIL}

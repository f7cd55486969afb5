"""Admission: silent connections lock nobody out, and a closing one has no place."""

from dataclasses import replace

from bridges.serving.admission import Admission
from bridges.serving.limits import ServerLimits

LIMITS = replace(ServerLimits(), connections=10, unauthenticated=2)


def test_silent_connections_lock_nobody_out() -> None:
    admission = Admission[str](LIMITS)
    for number in range(10):
        assert admission.enter(f"silent {number}", now=0.1 * number) == []
    assert admission.enter("honest", now=1.0) == ["silent 0"]
    admission.leave("silent 0")
    assert admission.admit("honest")
    assert (admission.pending, admission.admitted) == (9, 1)


def test_few_may_take_their_time_for_a_hello_and_many_may_not() -> None:
    admission = Admission[str](LIMITS)
    for name in "abcd":
        admission.enter(name, now=0.0)
    assert admission.overdue(LIMITS.hello_grace_s) == []
    assert admission.overdue(LIMITS.hello_grace_s + 0.1) == ["a", "b"]
    admission.leave("a")
    admission.leave("b")
    assert admission.overdue(LIMITS.hello_timeout_s) == []
    assert admission.overdue(LIMITS.hello_timeout_s + 0.1) == ["c", "d"]


def test_as_many_as_there_are_places_are_admitted() -> None:
    admission = Admission[int](LIMITS)
    for number in range(11):
        admission.enter(number, now=0.0)
        assert admission.admit(number) == (number < 10)
    admission.start_closing(3, now=1.0)
    admission.enter(11, now=1.0)
    assert admission.admit(11)


def test_a_closing_connection_is_overdue_soon_and_many_are_cut_at_once() -> None:
    admission = Admission[int](LIMITS)
    for number in range(12):
        admission.enter(number, now=0.0)
    assert [admission.start_closing(number, now=1.0) for number in range(10)] == [[]] * 10
    assert admission.start_closing(10, now=1.5) == [0]
    assert admission.start_closing(10, now=9.0) == [0]
    assert admission.overdue(1.0 + LIMITS.close_s + 0.1) == list(range(10))
    for number in range(12):
        admission.leave(number)
    assert list(admission) == []


def test_who_has_left_does_not_come_back_by_a_late_hello_or_a_late_close() -> None:
    admission: Admission[str] = Admission(ServerLimits())
    for late in ("hello", "close"):
        admission.enter(late, 0)
        admission.leave(late)
    assert not admission.admit("hello")
    assert admission.start_closing("close", 1) == []
    assert list(admission) == []
    assert (admission.admitted, admission.overdue(100)) == (0, [])

"""Connection: what people bring about, beside the pictures and in words."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bridges.protocol.frames import EncodedFrame, pack
from bridges.protocol.lanes import Budget
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.messages import Clock, Control, Correct, ErrorMessage, Event, Say
from bridges.protocol.step_report import NO_REPORT
from bridges.testing.scripted_peer import ScriptedPeer
from games.voxel import SPEC

LIMITS = ConnectionLimits()
PIXELS = np.zeros((2, 3, 3), np.uint8)
JUMP = {**SPEC.null_action(), "jump": 1}


def attached(limits: ConnectionLimits = LIMITS, **hello: Any) -> ScriptedPeer:
    return ScriptedPeer(limits, {"spec": SPEC.model_dump(mode="json"), **hello}).attach()


def picture(number: int, report: object) -> bytes:
    return pack(PIXELS, number, 0, meta=json.dumps(report).encode())


def received(peer: ScriptedPeer, number: int, report: object) -> EncodedFrame:
    (encoded,) = peer.send(picture(number, report))
    assert isinstance(encoded, EncodedFrame)
    assert encoded.number == number
    return encoded


def test_a_picture_carries_what_happened_before_it() -> None:
    peer = attached()
    encoded = received(peer, 1, {"executed": {"jump": 1}, "reward": 2})
    assert (encoded.report.executed, encoded.report.reward) == (JUMP, 2)
    assert encoded.decode().shape == PIXELS.shape
    assert peer.received() == []


@pytest.mark.parametrize("mode", ["realtime", "lockstep"])
def test_a_wrong_field_is_an_error_and_the_picture_counts(mode: str) -> None:
    peer = attached(mode=mode)
    encoded = received(peer, 5, {"executed": {"jmp": 1}, "reward": 2})
    assert (encoded.report.executed, encoded.report.reward) == (None, 2)
    (error,) = peer.errors()
    assert (error.code, error.observation, error.path) == ("bad_report", 5, "executed")
    assert peer.connection.in_flight == (mode == "lockstep")


def test_mistakes_beyond_the_budget_are_not_read_and_end_nothing() -> None:
    peer = attached(replace(LIMITS, mistakes=Budget(messages_per_s=2, bytes_per_s=1 << 20)))
    wrong = {"executed": {"jmp": 1}, "reward": 2}
    reports = [received(peer, n, wrong).report for n in range(100)]
    assert len(peer.errors()) == 4
    assert [report.reward for report in reports] == [2] * 4 + [None] * 96
    peer.now += 2
    assert received(peer, 100, {"reward": 2}).report.reward == 2
    assert not peer.connection.is_closed


def test_more_json_than_the_budget_ends_the_connection() -> None:
    peer = attached(replace(LIMITS, reports=Budget(messages_per_s=2, bytes_per_s=1 << 20)))
    reports = [received(peer, n, {"reward": 2}).report for n in range(7)]
    assert reports[4:] == [NO_REPORT] * 3
    assert [error.code for error in peer.errors()] == ["too_many"]
    assert peer.send(picture(7, {"reward": 2})) == []
    assert peer.closed == (4429, "at most 2 reports and 1 MiB of them a second")


def test_in_lockstep_every_report_is_read() -> None:
    limits = replace(LIMITS, reports=Budget(messages_per_s=2, bytes_per_s=1 << 20))
    peer = attached(limits, mode="lockstep")
    for n in range(20):
        assert received(peer, n, {"reward": 2}).report.reward == 2
        peer.connection.send(ErrorMessage(code="policy_failed", message="", observation=n))
    assert {error.code for error in peer.errors()} == {"policy_failed"}


def test_the_last_steps_actions_come_with_the_event_that_ends_it() -> None:
    peer = attached()
    message = {"type": "event", "terminated": True, "executed": {"jump": 1}, "input": {"jmp": 1}}
    (event,) = peer.send(message)
    assert event == Event(terminated=True, executed=JUMP)
    assert [(error.code, error.path) for error in peer.errors()] == [("bad_report", "input")]


def test_events_beyond_the_budget_lose_their_actions_only() -> None:
    peer = attached(replace(LIMITS, reports=Budget(messages_per_s=1, bytes_per_s=1 << 20)))
    message = {"type": "event", "terminated": True, "executed": {"jump": 1}}
    events = [event for _ in range(3) for event in peer.send(message)]
    assert events == [Event(terminated=True, executed=JUMP)] * 2 + [Event(terminated=True)]


@pytest.mark.parametrize("role", ["play", "watch", "query"])
@pytest.mark.parametrize(
    "message", [Control(owner="shared"), Correct(text="not into the lava"), Say(text="wood first")]
)
def test_every_role_may_speak_for_a_person(role: str, message: Control | Correct | Say) -> None:
    peer = attached(role=role)
    assert peer.send(message.model_dump()) == [message]
    assert peer.received() == []


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"type": "control", "owner": "nobody"}, "owner"),
        ({"type": "control"}, "owner"),
        ({"type": "correct", "text": ""}, "text"),
        ({"type": "say", "text": "x" * 501}, "text"),
        ({"type": "clock"}, "t0"),
        ({"type": "clock", "t0": 1e16}, "t0"),
    ],
)
def test_what_a_person_sends_is_checked(message: dict[str, Any], path: str) -> None:
    peer = attached()
    assert peer.send(message) == []
    assert [(error.code, error.path) for error in peer.errors()] == [("bad_message", path)]


def test_words_are_limited_by_the_text_lane() -> None:
    peer = attached(replace(LIMITS, texts=Budget(messages_per_s=2, bytes_per_s=1 << 20)))
    say = {"type": "say", "text": "again"}
    assert sum(len(peer.send(say)) for _ in range(6)) == 4
    assert [error.code for error in peer.errors()] == ["too_many"]


@pytest.mark.parametrize("role", ["play", "watch"])
def test_the_clock_is_answered_with_the_time_of_receiving(role: str) -> None:
    peer = attached(role=role)
    peer.now = 107.25
    assert peer.send({"type": "clock", "t0": 3.5}) == []
    assert peer.received() == [Clock(t0=3.5, t1=107250, t2=107250)]


def test_the_welcome_says_who_owns_the_player() -> None:
    peer = ScriptedPeer(LIMITS, {"spec": SPEC.model_dump(mode="json"), "owner": "shared"})
    (hello,) = peer.send(peer.hello)
    assert hello.owner == "shared"  # type: ignore[union-attr]
    peer.connection.accept(session="a", policy="p", instruction="", warnings=(), owner="shared")
    assert [welcome.owner for welcome in peer.received()] == ["shared"]

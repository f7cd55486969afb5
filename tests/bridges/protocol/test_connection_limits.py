"""Connection limits: how much may wait, how much may come, and who must read, without a socket."""

from dataclasses import replace
from typing import Any

import pytest

from bridges.protocol.decision import Latency
from bridges.protocol.lanes import Budget
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.messages import (
    Act,
    Answer,
    ErrorMessage,
)
from bridges.testing.scripted_peer import ScriptedPeer
from games.voxel import SPEC

LIMITS = ConnectionLimits()
SPEC_JSON = SPEC.model_dump(mode="json")


def stranger(token: str | None = None) -> ScriptedPeer:
    """A peer before its hello."""
    return ScriptedPeer(LIMITS, {"spec": SPEC_JSON}, token)


def attached(limits: ConnectionLimits = LIMITS, **hello: Any) -> ScriptedPeer:
    """A peer behind its welcome."""
    return ScriptedPeer(limits, {"spec": SPEC_JSON, **hello}).attach()


def act(observation: int) -> Act:
    return Act(
        action={}, words="", probability=1, session="a", observation=observation, valid_ms=1,
        latency=Latency(queue_ms=0, infer_ms=0, age_ms=0),
    )  # fmt: skip


# --- lockstep ---


def test_lockstep_pictures_wait_for_answers_or_errors_that_name_them() -> None:
    peer = attached(mode="lockstep")
    for number in (1, 2, 2, 3):
        assert peer.picture(number)
    assert peer.connection.in_flight == 4
    peer.connection.send(act(1))
    peer.connection.send(ErrorMessage(code="policy_failed", message="no", observation=2))
    assert peer.connection.in_flight == 2
    peer.connection.send(ErrorMessage(code="no_session", message="no"))
    peer.connection.send(act(1))
    assert peer.connection.in_flight == 2
    peer.connection.send(act(2))
    peer.connection.send(act(3))
    assert peer.connection.in_flight == 0


def test_lockstep_holds_a_number_of_pictures() -> None:
    limits = replace(LIMITS, max_in_flight=3)
    peer = attached(limits, mode="lockstep")
    for number in range(3):
        assert peer.picture(number)
    peer.connection.send(act(0))
    assert peer.picture(3)
    assert peer.picture(4) == []
    *_, error = peer.received()
    assert (error.code, error.observation) == ("too_many", 4)
    assert peer.connection.close_code == 4429


def test_lockstep_holds_a_number_of_bytes_but_always_one_picture() -> None:
    limits = replace(LIMITS, max_in_flight_bytes=20)
    peer = attached(limits, mode="lockstep")
    assert peer.picture(1)
    peer.connection.send(act(1))
    assert peer.picture(2)
    assert peer.picture(3) == []
    assert peer.connection.close_code == 4429


def test_realtime_pictures_are_not_in_flight() -> None:
    peer = attached()
    for number in range(2 * LIMITS.max_in_flight):
        assert peer.picture(number)
    assert peer.connection.in_flight == 0


# --- queries ---


def test_queries_without_an_answer_are_limited() -> None:
    peer = attached(replace(LIMITS, max_queries=2))
    assert peer.send({"type": "query", "id": 1})
    assert peer.send({"type": "query", "id": 1})
    assert peer.send({"type": "query", "id": 1}) == []
    assert [(error.code, error.id) for error in peer.errors()] == [("too_many", 1)]
    peer.send({"type": "query", "id": 1, "kind": "poem"})  # its error is no answer to the others
    assert peer.send({"type": "query", "id": 4}) == []
    peer.connection.send(Answer(id=1, kind="why", text="so"))
    assert peer.send({"type": "query", "id": 5})
    peer.connection.send(ErrorMessage(code="policy_failed", message="no", id=5))
    assert peer.send({"type": "query", "id": 6})
    assert not peer.connection.is_closed


# --- budgets ---

TIGHT = Budget(messages_per_s=2, bytes_per_s=1 << 20, burst_s=2)


def test_who_sends_too_much_is_told_once_then_ignored_then_cut() -> None:
    peer = attached(replace(LIMITS, texts=TIGHT))
    event = {"type": "event", "reward": 1}
    assert [len(peer.send(event)) for _ in range(7)] == [1, 1, 1, 1, 0, 0, 0]
    (error,) = peer.errors()
    assert (error.code, error.message) == (
        "too_many",
        "at most 2 messages and 1 MiB of them a second",
    )
    assert not peer.connection.is_closed
    assert peer.send(event) == []
    assert peer.closed == (4429, error.message)


def test_a_peer_that_slows_down_is_heard_again_and_told_again() -> None:
    peer = attached(replace(LIMITS, texts=TIGHT))
    event = {"type": "event", "reward": 1}
    for _ in range(2):
        heard = [len(peer.send(event)) for _ in range(5)]
        assert heard == [1, 1, 1, 1, 0]
        assert len(peer.errors()) == 1
        peer.now += 10
        assert peer.send(event)
        peer.now += 10


def test_bytes_count_too() -> None:
    tight = Budget(messages_per_s=1000, bytes_per_s=100, burst_s=1)
    peer = attached(replace(LIMITS, texts=tight))
    assert peer.send('{"type":"event"}' + " " * 80)
    assert peer.send('{"type":"event"}') == []
    assert [error.code for error in peer.errors()] == ["too_many"]
    peer.send(" " * 200)
    assert peer.connection.close_code == 4429


def test_realtime_pictures_have_a_budget_and_lockstep_ones_none() -> None:
    for mode, heard in (("realtime", 4), ("lockstep", 6)):
        peer = attached(replace(LIMITS, pictures=TIGHT), mode=mode)
        assert sum(len(peer.picture(number)) for number in range(6)) == heard
        assert not peer.connection.is_closed


def test_lanes_are_independent() -> None:
    peer = attached(replace(LIMITS, pictures=TIGHT))
    for number in range(6):
        peer.picture(number)
    assert peer.send({"type": "event", "terminated": True})


def test_mistakes_have_a_small_budget_of_their_own() -> None:
    peer = attached()
    mistakes = 0
    while not peer.connection.is_closed:
        peer.send('{"type":"x"}')
        mistakes += 1
    rate = LIMITS.mistakes.messages_per_s * LIMITS.mistakes.burst_s
    assert mistakes == 2 * rate
    assert len(peer.errors()) == rate + 1
    assert peer.connection.close_code == 4429


def test_pings_have_a_budget() -> None:
    peer = stranger()
    frames = 0
    while not peer.connection.is_closed:
        peer.connection.receive_control_frame(4, peer.now)
        frames += 1
    assert frames == 2 * LIMITS.control_frames.messages_per_s * LIMITS.control_frames.burst_s
    assert peer.connection.close_code == 4429
    peer.connection.receive_control_frame(4, peer.now)


# --- peers that do not read ---


def test_a_peer_is_pinged_behind_its_welcome_only() -> None:
    peer = stranger()
    assert not peer.connection.ping_due(peer.now + LIMITS.ping_s)
    peer = attached()
    assert not peer.connection.ping_due(peer.now + LIMITS.ping_s - 0.1)
    assert peer.connection.ping_due(peer.now + LIMITS.ping_s)
    peer.connection.close(1000, "bye")
    assert not peer.connection.ping_due(peer.now + LIMITS.ping_s)


def test_a_game_that_sends_and_never_reads_is_cut_off() -> None:
    peer = attached()
    peer.connection.liveness.pinged(peer.now)
    sent = 0
    while not peer.connection.is_closed:
        peer.now += 0.05
        peer.picture(sent)
        sent += 1
    assert peer.now - 100 == pytest.approx(LIMITS.unread_s, abs=0.1)
    assert peer.closed == (4504, "the peer sends and does not read")


def test_a_peer_with_unsent_bytes_is_cut_off_in_time() -> None:
    peer = attached()
    peer.connection.tick(peer.now, unsent=LIMITS.stall_bytes + 1)
    peer.connection.tick(peer.now + LIMITS.stall_s, unsent=LIMITS.stall_bytes + 1)
    assert not peer.connection.is_closed
    peer.connection.tick(peer.now + LIMITS.stall_s + 0.1, unsent=LIMITS.stall_bytes + 1)
    assert peer.closed == (4504, "the peer does not read")

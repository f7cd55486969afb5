"""Connection: the rules of PROTOCOL.md for one peer, without a socket."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bridges.protocol import messages
from bridges.protocol.connection import Connection, ConnectionState, Received
from bridges.protocol.frames import HEADER, EncodedFrame, pack
from bridges.protocol.lanes import Budget
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.messages import (
    Act,
    Answer,
    ErrorMessage,
    Event,
    Instruct,
    Latency,
    Query,
    Subscribe,
    Welcome,
    from_server,
)
from games.voxel import SPEC

LIMITS = ConnectionLimits()
PIXELS = np.zeros((2, 3, 3), np.uint8)
HELLO = {"type": "hello", "spec": SPEC.model_dump(mode="json")}
MALFORMED_SPEC = {"type": "hello", "spec": {"controls": "none"}}


class Peer:
    """A connection with its peer's side; `now` is the time of what comes next."""

    def __init__(self, limits: ConnectionLimits = LIMITS, token: str | None = None) -> None:
        self.now = 100.0
        self.connection = Connection(limits, token=token, now=self.now)

    def send(self, message: dict[str, Any] | str | bytes) -> list[Received]:
        """Hand a message to the server; returns what it asks of the server."""
        data = json.dumps(message) if isinstance(message, dict) else message
        return self.connection.receive(data, self.now)

    def picture(self, number: int) -> list[Received]:
        return self.send(pack(PIXELS, number, 0))

    def received(self) -> list[Any]:
        """What the server sent since the last call."""
        return [
            from_server(data) if isinstance(data, str) else data
            for data in self.connection.data_to_send()
        ]

    def errors(self) -> list[ErrorMessage]:
        received = self.received()
        assert all(isinstance(message, ErrorMessage) for message in received)
        return received

    @property
    def closed(self) -> tuple[int | None, str]:
        return self.connection.close_code, self.connection.close_reason


def attached(limits: ConnectionLimits = LIMITS, **hello: Any) -> Peer:
    """A peer behind its welcome."""
    peer = Peer(limits)
    assert peer.send({**HELLO, **hello})
    peer.connection.accept(session="a", policy="p", instruction="", warnings=())
    assert isinstance(peer.received()[0], Welcome)
    return peer


def act(observation: int) -> Act:
    return Act(
        action={}, words="", probability=1, session="a", observation=observation, valid_ms=1,
        latency=Latency(queue_ms=0, infer_ms=0, age_ms=0),
    )  # fmt: skip


# --- hello ---


@pytest.mark.parametrize(
    ("role", "state"),
    [
        ("play", ConnectionState.PLAYING),
        ("watch", ConnectionState.WATCHING),
        ("query", ConnectionState.QUERYING),
    ],
)
def test_a_hello_opens_a_role_and_is_answered_once(role: str, state: ConnectionState) -> None:
    peer = Peer()
    assert peer.send({**HELLO, "role": role}) == [peer.connection.hello]
    assert peer.connection.state is state
    peer.connection.accept(session="a", policy="p", instruction="go", warnings=["no gun"])
    (welcome,) = peer.received()
    assert (welcome.session, welcome.instruction, welcome.warnings) == ("a", "go", ("no gun",))
    assert welcome.max_in_flight == LIMITS.max_in_flight
    with pytest.raises(RuntimeError, match="once"):
        peer.connection.accept(session="b", policy="p", instruction="", warnings=())


def test_a_welcome_before_the_hello_is_a_fault_of_the_server() -> None:
    with pytest.raises(RuntimeError):
        Peer().connection.accept(session="a", policy="p", instruction="", warnings=())


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"type":"bye"}', 4400),
        ('{"type":"telepathy"}', 4400),
        (b"IAFM", 4400),
        ('{"type":"hello","version":9}', 4426),
        (f'{{"type":"hello","version":1{"0" * 400}}}', 4426),
    ],
)
def test_a_first_message_that_is_no_hello_of_ours_ends_it(first: str | bytes, code: int) -> None:
    peer = Peer()
    assert peer.send(first) == []
    assert peer.connection.close_code == code
    assert peer.received() == []


@pytest.mark.parametrize(
    ("first", "path"),
    [
        ("{", ""),
        ("[]", ""),
        ('{"type":"hello","role":"play"}', "spec"),
        ('{"type":"hello","role":"king"}', "role"),
        ('{"type":"hello","version":"one"}', "version"),
    ],
)
def test_a_hello_that_cannot_be_read_hears_which_field_is_wrong(first: str, path: str) -> None:
    peer = Peer()
    peer.send(first)
    (error,) = peer.errors()
    assert (error.code, error.path) == ("bad_message", path)
    assert peer.connection.close_code == 4400


def test_a_hello_comes_in_time() -> None:
    peer = Peer()
    peer.connection.tick(peer.now + LIMITS.hello_timeout_s)
    assert not peer.connection.is_closed
    peer.connection.tick(peer.now + LIMITS.hello_timeout_s + 0.01)
    assert peer.closed == (4408, "no hello within 5 s")


@pytest.mark.parametrize("token", [None, "wrong", "", ["right"], 5, "r\u00efght"])
def test_nothing_of_a_hello_is_checked_before_its_token(
    token: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "client_message", None)
    peer = Peer(token="right")
    peer.send({**MALFORMED_SPEC, "version": 9, "token": token})
    assert peer.closed == (4401, "wrong or missing token")
    assert peer.received() == []


def test_the_right_token_opens_the_door() -> None:
    peer = Peer(token="right")
    assert peer.send({**HELLO, "token": "right"})
    assert not peer.connection.is_closed


def test_the_version_is_checked_before_the_spec() -> None:
    peer = Peer()
    peer.send({**MALFORMED_SPEC, "version": 2})
    assert peer.closed == (4426, "this server speaks version 1, not 2")


def test_unknown_fields_of_a_hello_are_named_in_the_welcome() -> None:
    peer = Peer()
    peer.send({**HELLO, "instrution": "go"})
    peer.connection.accept(session="a", policy="p", instruction="", warnings=["first"])
    (welcome,) = peer.received()
    assert welcome.warnings == ("first", "hello.instrution is not known here: ignored")


def test_a_game_that_is_refused_hears_why() -> None:
    peer = Peer()
    peer.send(HELLO)
    peer.connection.refuse(ErrorMessage(code="unplayable", message="no controls", hint="add some"))
    (error,) = peer.errors()
    assert (error.code, error.hint) == ("unplayable", "add some")
    assert peer.closed == (4400, "no controls")


# --- messages and roles ---


def test_messages_reach_the_server_as_they_are() -> None:
    peer = attached()
    assert peer.send({"type": "instruct", "text": "go", "new": 1}) == [Instruct(text="go")]
    assert peer.send({"type": "event", "reward": 1}) == [Event(reward=1)]
    assert peer.send({"type": "query", "id": 3, "kind": "why"}) == [Query(id=3, kind="why")]
    (encoded,) = peer.picture(7)
    assert isinstance(encoded, EncodedFrame)
    assert encoded.number == 7
    assert peer.received() == []


@pytest.mark.parametrize("role", ["watch", "query"])
def test_consoles_subscribe_and_send_no_events(role: str) -> None:
    peer = attached(role=role)
    assert peer.send({"type": "subscribe", "session": "a"}) == [Subscribe(session="a")]
    assert peer.send({"type": "event", "terminated": True}) == []
    assert [error.code for error in peer.errors()] == ["not_allowed"]
    peer.picture(1)
    assert peer.closed == (4400, "only a game sends pictures")


@pytest.mark.parametrize("message", [HELLO, {"type": "subscribe", "session": None}])
def test_what_a_game_may_not_send_is_answered_not_punished(message: dict[str, Any]) -> None:
    peer = attached()
    assert peer.send(message) == []
    assert [error.code for error in peer.errors()] == ["not_allowed"]
    assert not peer.connection.is_closed


def test_wrong_and_unknown_messages_are_answered_not_punished() -> None:
    peer = attached()
    for message in ({"type": "instruct", "text": 5}, {"type": "telepathy"}, "{", "", "[]"):
        assert peer.send(message) == []
    errors = peer.errors()
    assert [error.code for error in errors] == [
        "bad_message", "unknown_type", "bad_message", "bad_message", "bad_message",
    ]  # fmt: skip
    assert (errors[0].path, errors[0].observation, errors[0].id) == ("text", None, None)
    assert "'telepathy'" in errors[1].message
    assert not peer.connection.is_closed


def test_bye_ends_politely() -> None:
    peer = attached()
    assert peer.send({"type": "bye"}) == []
    assert peer.closed == (1000, "bye")


def test_nothing_passes_after_the_end() -> None:
    peer = attached()
    peer.connection.send(Instruct(text="last"))
    peer.connection.close(1000, "bye")
    peer.connection.close(4400, "again")
    peer.connection.send(Instruct(text="late"))
    peer.connection.tick(peer.now + 1e6, unsent=1 << 30)
    assert peer.picture(1) == []
    assert peer.received() == [Instruct(text="last")]
    assert peer.closed == (1000, "bye")


@pytest.mark.parametrize("reason", ["ü" * 100, "x" * 122 + "ü", "\ud800" * 200])
def test_a_reason_is_cut_to_what_a_close_frame_holds(reason: str) -> None:
    connection = Peer().connection
    connection.close(4400, reason)
    assert 122 <= len(connection.close_reason.encode()) <= 123
    assert reason.encode("utf-8", "replace").decode().startswith(connection.close_reason)


# --- which error belongs to what ---


def test_an_error_about_a_query_carries_its_id() -> None:
    peer = attached()
    peer.send({"type": "query", "id": 12, "kind": "poem"})
    peer.send({"type": "query", "id": True, "kind": "poem"})
    assert [(error.path, error.id) for error in peer.errors()] == [("kind", 12), ("kind", None)]


@pytest.mark.parametrize(
    ("data", "code", "number"),
    [
        (b"IAFM", 4400, None),
        (b"x" * 40, 4400, int.from_bytes(b"xxxx", "little")),
        (HEADER.pack(b"IAFM", 1, 9, 0, 3, 2, 5, 0, 0, 0), 4415, 5),
        (HEADER.pack(b"IAFM", 1, 0, 0, 60000, 60000, 6, 0, 0, 0), 4413, 6),
    ],
)
def test_a_bad_picture_is_named_and_ends_it(data: bytes, code: int, number: int | None) -> None:
    peer = attached()
    assert peer.send(data) == []
    (error,) = peer.errors()
    assert (error.code, error.observation) == ("bad_picture", number)
    assert peer.closed == (code, error.message[:123])


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
    peer = Peer()
    frames = 0
    while not peer.connection.is_closed:
        peer.connection.receive_control_frame(4, peer.now)
        frames += 1
    assert frames == 2 * LIMITS.control_frames.messages_per_s * LIMITS.control_frames.burst_s
    assert peer.connection.close_code == 4429
    peer.connection.receive_control_frame(4, peer.now)


# --- peers that do not read ---


def test_a_peer_is_pinged_behind_its_welcome_only() -> None:
    peer = Peer()
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

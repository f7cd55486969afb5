"""Connection: the rules of PROTOCOL.md for one peer, without a socket."""

from typing import Any

import pytest

from bridges.protocol import messages
from bridges.protocol.connection import ConnectionState
from bridges.protocol.frames import HEADER, EncodedFrame
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.messages import (
    ErrorMessage,
    Event,
    Instruct,
    Query,
    Subscribe,
)
from bridges.testing.scripted_peer import ScriptedPeer
from games.voxel import SPEC

LIMITS = ConnectionLimits()
HELLO = {"type": "hello", "spec": SPEC.model_dump(mode="json")}
MALFORMED_SPEC = {"type": "hello", "spec": {"controls": "none"}}


def stranger(token: str | None = None) -> ScriptedPeer:
    """A peer before its hello."""
    return ScriptedPeer(LIMITS, {"spec": SPEC.model_dump(mode="json")}, token)


def attached(limits: ConnectionLimits = LIMITS, **hello: Any) -> ScriptedPeer:
    """A peer behind its welcome."""
    return ScriptedPeer(limits, {"spec": SPEC.model_dump(mode="json"), **hello}).attach()


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
    peer = stranger()
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
        stranger().connection.accept(session="a", policy="p", instruction="", warnings=())


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
    peer = stranger()
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
    peer = stranger()
    peer.send(first)
    (error,) = peer.errors()
    assert (error.code, error.path) == ("bad_message", path)
    assert peer.connection.close_code == 4400


def test_a_hello_comes_in_time() -> None:
    peer = stranger()
    peer.connection.tick(peer.now + LIMITS.hello_timeout_s)
    assert not peer.connection.is_closed
    peer.connection.tick(peer.now + LIMITS.hello_timeout_s + 0.01)
    assert peer.closed == (4408, "no hello within 5 s")


@pytest.mark.parametrize("token", [None, "wrong", "", ["right"], 5, "r\u00efght"])
def test_nothing_of_a_hello_is_checked_before_its_token(
    token: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "client_message", None)
    peer = stranger(token="right")
    peer.send({**MALFORMED_SPEC, "version": 9, "token": token})
    assert peer.closed == (4401, "wrong or missing token")
    assert peer.received() == []


def test_the_right_token_opens_the_door() -> None:
    peer = stranger(token="right")
    assert peer.send({**HELLO, "token": "right"})
    assert not peer.connection.is_closed


def test_the_version_is_checked_before_the_spec() -> None:
    peer = stranger()
    peer.send({**MALFORMED_SPEC, "version": 2})
    assert peer.closed == (4426, "this server speaks version 1, not 2")


def test_unknown_fields_of_a_hello_are_named_in_the_welcome() -> None:
    peer = stranger()
    peer.send({**HELLO, "instrution": "go"})
    peer.connection.accept(session="a", policy="p", instruction="", warnings=["first"])
    (welcome,) = peer.received()
    assert welcome.warnings == ("first", "hello.instrution is not known here: ignored")


def test_a_game_that_is_refused_hears_why() -> None:
    peer = stranger()
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
    connection = stranger().connection
    connection.close(4400, reason)
    assert 122 <= len(connection.close_reason.encode()) <= 123
    assert reason.encode("utf-8", "replace").decode().startswith(connection.close_reason)


# --- which error belongs to what ---


def test_an_error_about_a_query_carries_its_id() -> None:
    peer = attached()
    peer.send({"type": "query", "id": 12, "kind": "poem"})
    peer.send({"type": "query", "id": True, "kind": "poem"})
    peer.send({"type": "query", "id": 10**400, "kind": "why"})
    peer.send({"type": "telepathy", "id": -(10**16)})
    assert [(error.path, error.id) for error in peer.errors()] == [
        ("kind", 12), ("kind", None), ("id", None), ("type", None),
    ]  # fmt: skip


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

"""Wire: the client's messages are read, and every malformed one ends the connection."""

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.malmo import wire
from bridges.malmo.wire import Command, MalmoConnection, Request, Token, WireError
from tests.bridges.malmo.malmo_client import HELLO, message, parts, step


def requests(*data: bytes) -> list[Request]:
    """All requests in the bytes of a client that has said hello."""
    connection = MalmoConnection()
    received = []
    for piece in (HELLO, *data):
        connection.receive(piece)
        while (request := connection.next_request()) is not None:
            received.append(request)
    return received


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("<Peek/>", wire.Peek()),
        ("<Quit/>", wire.Quit()),
        ("<Disconnect/>", wire.Disconnect()),
        ("<Exit>NOW</Exit>", wire.Exit()),
        ("<Init>x</Init>", wire.Acknowledge()),
        ("<Close>x</Close>", wire.Acknowledge()),
        ("<Status/>", wire.Echo(b"{}")),
        ("<Echo>hi</Echo>", wire.Echo(b"<Echo><Echo>hi</Echo></Echo>")),
        ("<Find>a-b:1:0</Find>", wire.Find(Token("a-b", 1, wire.MAX_AGENTS))),
    ],
)
def test_each_message_is_a_request(text: str, request_: Request) -> None:
    assert requests(message(text)) == [request_]


def test_a_step_is_its_commands() -> None:
    (request,) = requests(step("forward 1", "camera 0.0 3.0", "attack 0"))
    commands = (Command("forward", "1"), Command("camera", "0.0 3.0"), Command("attack", "0"))
    assert request == wire.Step(commands, with_info=True)
    assert requests(message("<StepClient1></StepClient1>")) == [wire.Step((), with_info=False)]


def test_a_mission_waits_for_its_token() -> None:
    assert requests(message("<MissionInit/>")) == []
    (request,) = requests(message("<MissionInit/>"), message("e:1:0:2:true:-7"))
    assert request == wire.Mission(b"<MissionInit/>", Token("e", 1, 2, -7))
    (request,) = requests(message("<MissionInit/>") + message("e:0:0:1:true"))
    assert request == wire.Mission(b"<MissionInit/>", Token("e", 0, 1, None))


def test_a_tick_of_the_server_has_no_answer() -> None:
    assert requests(message("<StepServer></StepServer>") + message("<Peek/>")) == [wire.Peek()]


@given(st.lists(st.integers(1, 40), max_size=30))
@settings(max_examples=30, deadline=None)
def test_messages_may_come_in_any_pieces(sizes: list[int]) -> None:
    data = step("jump 1") + message("<MissionInit/>") + message("e:0:0:1:true") + message("<Quit/>")
    pieces, start = [], 0
    for size in sizes:
        pieces.append(data[start : start + size])
        start += size
    whole = requests(data)
    assert requests(*pieces, data[start:]) == whole
    assert len(whole) == 3


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(message("<Malm0Env0.37.0/>"), id="another protocol"),
        pytest.param(message("<MalmoEnv0.36.0/>"), id="another version"),
        pytest.param(struct.pack("!I", wire.MAX_HELLO + 1), id="a long hello"),
        pytest.param(b"GET / HTTP/1.1\r\n", id="a browser"),
        pytest.param(HELLO + struct.pack("!I", 2**32 - 1), id="a length beyond all bounds"),
        pytest.param(HELLO + struct.pack("!I", wire.MAX_MESSAGE + 1), id="a length beyond ours"),
        pytest.param(HELLO + struct.pack("!I", 0), id="no length"),
        pytest.param(HELLO + message("<Dance/>"), id="an unknown message"),
        pytest.param(HELLO + message(b"\xff\xfe"), id="no text"),
        pytest.param(HELLO + message(b"<StepClient0>\xff</StepClient0>"), id="no UTF-8"),
        pytest.param(HELLO + message("<StepClient0>forward 1"), id="a step without its end"),
        pytest.param(HELLO + message("<StepClient0></StepClient2>"), id="another end"),
        pytest.param(HELLO + step(*["jump 1"] * 129), id="too many commands"),
        pytest.param(HELLO + step("x" * 257), id="a long command"),
        pytest.param(HELLO + message("<Find>e:0</Find>"), id="a short token"),
        pytest.param(HELLO + message("<Find>e:0:0:1:true</Find>"), id="a long token"),
    ],
)
def test_a_malformed_message_ends_the_connection(data: bytes) -> None:
    connection = MalmoConnection()
    connection.receive(data)
    with pytest.raises(WireError) as error:
        list(iter(connection.next_request, None))
    assert len(str(error.value)) < 200
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "token",
    [
        "e:0:0",
        "e:0:0:1",
        "e:0:0:1:maybe",
        "e:0:0:1:false",
        "e:2:0:1:true",
        "e:0:0:17:true",
        "e:0:0:0:true",
        "e:0:0:1:true:x",
        "e:0:0:1:true:9223372036854775808",
        "e e:0:0:1:true",
        ":0:0:1:true",
        "e:０:0:1:true",
        "",
    ],
)
def test_a_malformed_token_ends_the_connection(token: str) -> None:
    with pytest.raises(WireError):
        requests(message("<MissionInit/>") + (message(token) if token else struct.pack("!I", 0)))


def test_a_long_token_is_refused_by_its_length() -> None:
    with pytest.raises(WireError, match="1,000,000 bytes"):
        requests(message("<MissionInit/>") + struct.pack("!I", 1_000_000))


def test_nothing_is_kept_of_what_was_read() -> None:
    connection = MalmoConnection()
    connection.receive(HELLO + message("<Peek/>") + b"\0\0")
    assert connection.next_request() == wire.Peek()
    assert connection.unfinished
    assert connection.next_request() is None
    assert len(connection._received) == 2


def test_replies_are_as_minerl_reads_them() -> None:
    assert parts(wire.number(9000)) == [struct.pack("!I", 9000)]
    pixels, info, done = parts(wire.peeked(b"abc", {"a": 1}, done=True))
    assert (pixels, json.loads(info), done) == (b"abc", {"a": 1}, b"\1")
    pixels, outcome, info = parts(wire.stepped(b"abc", 1.5, False, {}))
    assert (pixels, struct.unpack("!dbb", outcome), info) == (b"abc", (1.5, 0, 1), b"{}")
    assert len(parts(wire.stepped(b"abc", 1.5, False, None))) == 2

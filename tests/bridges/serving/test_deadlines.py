"""Deadlines and fairness over real sockets: peers that say nothing, never read, never leave, or flood."""

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from websockets.asyncio.client import connect as connect_async

from bridges.client import connect
from bridges.policy import Decision, PolicyRequest
from bridges.protocol.connection import Connection, Received
from bridges.protocol.frames import pack
from bridges.protocol.lanes import Budget
from bridges.protocol.wire_log import WIRE_LOG
from bridges.serving.limits import ServerLimits
from bridges.serving.link import READ_BYTES, WebsocketLink
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.testing.background_server import background_server
from games import FrameSize, GameSpec
from games.controls import Button

SPEC = GameSpec(
    id="bell-v0",
    title="Bell",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="ring", label="ring"),),
)
PIXELS = np.zeros(SPEC.frame.shape, np.uint8)
LIMITS = ServerLimits()
HELLO = json.dumps({"type": "hello", "spec": SPEC.model_dump(mode="json")})
PING, TEXT, BINARY = 0x89, 0x81, 0x82
WAIT_S = 60.0


def frame(data: str | bytes, opcode: int = TEXT) -> bytes:
    """A masked websocket frame of at most 64 KiB."""
    payload = data.encode() if isinstance(data, str) else data
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
    return bytes([opcode]) + length + b"\0\0\0\0" + payload


def opened(server: BridgeServer) -> socket.socket:
    """A TCP connection that says nothing."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S)


def upgraded(server: BridgeServer, *messages: str) -> socket.socket:
    """A raw websocket that has sent messages and read nothing of their answers."""
    raw = opened(server)
    raw.sendall(
        f"GET /v1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += raw.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")
    for message in messages:
        raw.sendall(frame(message))
    return raw


def read_to_the_end(raw: socket.socket) -> bytes:
    """All that a server sends until it ends the connection."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := raw.recv(1 << 16):
            data += part
    return data


def close_frame(code: int) -> bytes:
    """How a close frame's payload begins."""
    return code.to_bytes(2, "big")


@pytest.fixture
def silent() -> Iterator[ExitStack]:
    """Holds the sockets of strangers until the test ends."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("open_one", [opened, upgraded])
def test_a_hundred_silent_connections_lock_no_game_out(open_one: object, silent: ExitStack) -> None:
    assert callable(open_one)
    with background_server(RandomPolicy()) as server:
        for _ in range(100):
            silent.enter_context(open_one(server))
        with connect(server.url, SPEC) as game:
            assert game.act(PIXELS).observation == 1


def test_who_sends_no_request_is_cut_off(silent: ExitStack) -> None:
    with background_server(RandomPolicy(), limits=replace(LIMITS, hello_timeout_s=0.2)) as server:
        assert read_to_the_end(silent.enter_context(opened(server))) == b""


def test_of_many_silent_ones_few_may_take_their_time(silent: ExitStack) -> None:
    limits = replace(LIMITS, unauthenticated=2, hello_grace_s=0.1, close_s=0.1)
    with background_server(RandomPolicy(), limits=limits) as server:
        first, *_ = [silent.enter_context(upgraded(server)) for _ in range(3)]
        assert close_frame(4408) in read_to_the_end(first)


def test_a_refused_peer_that_stays_keeps_no_place(silent: ExitStack) -> None:
    limits = replace(LIMITS, connections=1, close_s=WAIT_S)
    with background_server(RandomPolicy(), limits=limits) as server:
        with connect(server.url, SPEC) as game:
            game.act(PIXELS)
            refused = silent.enter_context(upgraded(server, HELLO))
            answer = refused.recv(1000)
            assert close_frame(4429) in answer
        with connect(server.url, SPEC) as game:
            assert game.act(PIXELS).observation == 1
        refused.close()


def test_a_closing_peer_that_stays_is_cut_off(silent: ExitStack) -> None:
    with background_server(RandomPolicy(), limits=replace(LIMITS, close_s=0.1)) as server:
        stranger = silent.enter_context(upgraded(server, "{"))
        assert close_frame(4400) in read_to_the_end(stranger)


def test_a_game_that_never_reads_is_cut_off(
    silent: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    limits = replace(LIMITS, ping_s=0.1, unread_s=0.2)
    with background_server(RandomPolicy(), limits=limits) as server:
        game = silent.enter_context(upgraded(server, HELLO))
        deadline = time.monotonic() + WAIT_S
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                game.sendall(frame(pack(PIXELS, 1, 0), BINARY))
                time.sleep(0.01)
        assert "4504: the peer sends and does not read" in caplog.text


def test_a_flood_of_pings_is_cut_off(silent: ExitStack) -> None:
    with background_server(RandomPolicy(), limits=replace(LIMITS, close_s=0.1)) as server:
        peer = silent.enter_context(upgraded(server, HELLO))
        peer.sendall(frame(b"", PING) * 1000)
        assert close_frame(4429) in read_to_the_end(peer)


def test_a_flood_leaves_turns_of_the_loop_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    handled: list[str | bytes] = []
    reads: list[int] = []
    receive, data_received = Connection.receive, WebsocketLink.data_received

    def counted(self: Connection, data: str | bytes, now: float) -> list[Received]:
        handled.append(data)
        return receive(self, data, now)

    def measured(self: WebsocketLink, data: bytes) -> None:
        reads.append(len(data))
        data_received(self, data)

    monkeypatch.setattr(Connection, "receive", counted)
    monkeypatch.setattr(WebsocketLink, "data_received", measured)
    asyncio.run(_flood(handled))
    assert max(reads) <= READ_BYTES


async def _flood(handled: list[str | bytes]) -> None:
    """An answer comes while all but a few of 5,000 messages of another peer still wait."""
    endless = Budget(messages_per_s=1e9, bytes_per_s=1e9)
    limits = replace(LIMITS, texts=endless, mistakes=endless)
    async with BridgeServer(RandomPolicy(), port=0, limits=limits) as server:
        async with connect_async(server.url, compression=None, proxy=None) as honest:
            await honest.send(HELLO)
            await honest.recv()
            flooder = await asyncio.to_thread(upgraded, server, HELLO)
            await asyncio.to_thread(flooder.sendall, frame("{") * 5000)
            while handled.count("{") < 10:
                await asyncio.sleep(0)
            before = handled.count("{")
            await honest.send('{"type":"telepathy"}')
            assert "unknown_type" in str(await honest.recv())
            assert handled.count("{") - before < 500
        flooder.close()


class Stuck(RandomPolicy):
    """Does not come back from a pass until `gate` opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        assert self.gate.wait(WAIT_S)
        return super().act(requests)


def test_health_tells_that_the_policy_is_stuck() -> None:
    policy = Stuck()
    limits = replace(LIMITS, stuck_s=0.05)
    with background_server(policy, limits=limits) as server, connect(server.url, SPEC) as game:
        assert health(server)["status"] == "ok"
        game.send(PIXELS)
        deadline = time.monotonic() + WAIT_S
        while (figures := health(server))["status"] == "ok":
            assert time.monotonic() < deadline
        assert (figures["status"], figures["waiting"], figures["http"]) == ("stuck", 1, 503)
        policy.gate.set()
        while health(server)["status"] != "ok":
            assert time.monotonic() < deadline
        assert health(server)["http"] == 200


def health(server: BridgeServer) -> dict[str, object]:
    """`/healthz` with its HTTP status."""
    try:
        with urllib.request.urlopen(server.console_url + "healthz") as page:
            return {**json.load(page), "http": page.status}
    except urllib.error.HTTPError as error:
        with error:
            return {**json.load(error), "http": error.code}


def test_what_is_no_http_leaves_no_traceback_in_the_log(
    silent: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"GET /v1 HTTP/1.1\r\n"
    with caplog.at_level(logging.INFO), background_server(RandomPolicy()) as server:
        for garbage in (b"\xff\n\n", request + b"nonsense\r\n\r\n", request + b"\r\n"):
            stranger = silent.enter_context(opened(server))
            stranger.sendall(garbage)
            read_to_the_end(stranger)
        WIRE_LOG.error("opening handshake failed", exc_info=ValueError("nonsense"))
    assert "opening handshake failed: ValueError" in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


def test_a_message_in_countless_pieces_ends_its_connection() -> None:
    pieces = frame("{", TEXT & 0x7F) + frame("{", 0x00) * 1024
    with background_server(RandomPolicy()) as server, upgraded(server, HELLO) as game:
        game.sendall(pieces)
        assert close_frame(4429) + b"a message comes in at most" in read_to_the_end(game)


def test_a_message_may_come_in_pieces() -> None:
    pieces = [frame(part, 0x00) for part in (HELLO[:9], HELLO[9:20])]
    last = frame(HELLO[20:], 0x80)
    with background_server(RandomPolicy()) as server, upgraded(server) as game:
        game.sendall(frame("", TEXT & 0x7F) + b"".join(pieces) + last)
        assert b"welcome" in game.recv(1 << 16)

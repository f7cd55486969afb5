"""The server's sockets: real clients that play, leave, stall and break rules."""

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from bridges.errors import BridgeError
from bridges.malmo import server as server_module
from bridges.malmo.server import MAX_CONNECTIONS, MalmoServer
from tests.bridges.malmo.malmo_client import HELLO, begin, message, mission_xml, step


@contextmanager
def serving() -> Iterator[MalmoServer]:
    """A server in a thread of its own."""
    loop, listening, server = asyncio.new_event_loop(), threading.Event(), MalmoServer()

    async def serve() -> None:
        async with server:
            listening.set()
            await server.ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert listening.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.ended.set)
        thread.join(10)
        loop.close()
    assert not thread.is_alive()


@pytest.fixture
def server() -> Iterator[MalmoServer]:
    with serving() as server:
        yield server


Connect = Callable[[], "Peer"]


@pytest.fixture
def connect(server: MalmoServer) -> Iterator[Connect]:
    """Makes clients, which are closed at the end."""
    with ExitStack() as stack:

        def connect_one() -> "Peer":
            return Peer(stack.enter_context(connected(server)))

        yield connect_one


def connected(server: MalmoServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


class Peer:
    """A blocking client, as MineRL's is."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.send(HELLO)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> bytes:
        """The next payload; b"" where the server has closed the connection."""
        header = self._exactly(4)
        return self._exactly(struct.unpack("!I", header)[0]) if header else b""

    def begin(self, token: str = "an-episode:0:0:1:true:3") -> int:
        self.send(begin(token=token))
        return int(struct.unpack("!I", self.receive())[0])

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionError:
                return b""
            if not piece:
                return b""
            data += piece
        return data


def test_a_client_plays(connect: Connect) -> None:
    peer = connect()
    assert peer.begin() == 1
    peer.send(message("<Peek/>"))
    assert [len(peer.receive()) for _ in range(3)][::2] == [64 * 64 * 3, 1]
    for _ in range(3):
        peer.send(step("forward 1"))
        assert len(peer.receive()) == 64 * 64 * 3
        assert struct.unpack("!dbb", peer.receive()) == (0.0, 0, 1)
        assert peer.receive().startswith(b"{")
        peer.send(message("<StepServer></StepServer>"))


def test_a_client_that_is_gone_leaves_the_world_free(connect: Connect) -> None:
    first, second = connect(), connect()
    assert first.begin() == 1
    assert second.begin("another:0:0:1:true") == 0
    first.socket.close()
    while second.begin("another:0:0:1:true") == 0:
        pass  # until the server has noticed


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (struct.pack("!I", 2**31), "2,147,483,648 bytes"),
        (message("<Dance/>"), "an unknown message"),
        (begin(mission_xml(size=(9999, 1))), "width"),
        (step(), "without a mission"),
    ],
)
def test_a_client_that_breaks_a_rule_is_cut_off_and_no_other(
    connect: Connect, caplog: pytest.LogCaptureFixture, data: bytes, why: str
) -> None:
    honest, other = connect(), connect()
    assert honest.begin() == 1
    other.send(data)
    assert other.receive() == b""
    honest.send(message("<Peek/>"))
    assert honest.receive()
    assert why in caplog.text
    assert "Traceback" not in caplog.text


def test_a_client_has_little_time_to_say_hello(
    server: MalmoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HELLO_S", 0.05)
    with connected(server) as silent, connected(server) as slow:
        slow.sendall(HELLO[:5])
        assert silent.recv(1) == b""
        assert slow.recv(1) == b""


def test_a_client_that_reads_nothing_is_cut_off(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "STALLED_S", 0.1)
    deaf, patient = connect(), connect()
    assert deaf.begin() == 1
    deaf.send(message("<Peek/>") * 2000)  # 24 MB, more than any buffer holds
    while patient.begin("another:0:0:1:true") == 0:
        pass  # until its world is free
    assert "reads nothing" in caplog.text


def test_there_are_only_so_many_clients(connect: Connect) -> None:
    peers = [connect() for _ in range(MAX_CONNECTIONS)]
    for peer in peers:
        peer.send(message("<Status/>"))
        assert peer.receive() == b"{}"
    assert connect().receive() == b""
    peers[0].send(message("<Status/>"))
    assert peers[0].receive() == b"{}"


def test_a_client_may_end_the_process(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "iafm.malmo")
    with serving() as server, connected(server) as one, connected(server) as another:
        playing, other = Peer(one), Peer(another)
        assert playing.begin() == 1
        other.send(message("<Exit>NOW</Exit>"))
        assert struct.unpack("!I", other.receive()) == (1,)
        assert playing.receive() == b""
    assert "ends after 0 steps" in caplog.text


def test_a_taken_port_is_the_users_mistake(server: MalmoServer) -> None:
    async def listen() -> None:
        async with MalmoServer(server.port):
            pass

    with pytest.raises(BridgeError, match=f"port {server.port}"):
        asyncio.run(listen())

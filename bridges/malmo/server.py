"""MalmoEnv server: the asyncio shell around the sessions of a process, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Self

from bridges.errors import BridgeError
from bridges.malmo.mission import MissionError
from bridges.malmo.missions import Missions
from bridges.malmo.session import Session
from bridges.malmo.wire import WireError
from bridges.malmo.world import DETAIL

HOST = "127.0.0.1"
MAX_CONNECTIONS = 16
HELLO_S = 5.0
"""Seconds within which a client must name its version."""
STALLED_S = 30.0
"""Seconds for which a client may read nothing of its reply."""
READ_BYTES = 1 << 16

_log = logging.getLogger("iafm.malmo")


class MalmoServer:
    """The block world where MineRL looks for Minecraft; `async with` it, `port` 0 takes a free one."""

    def __init__(self, port: int = 0, first_seed: int | None = None, detail: int = DETAIL) -> None:
        self.port = port
        self._missions = Missions(first_seed, detail)
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.ended = asyncio.Event()
        """Set once a client has asked for the process to end."""

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise BridgeError(
                f"cannot listen at port {self.port}: {reason}; name another, or 0 for a free one"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task, writer in list(self._clients.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it leaves or breaks a rule."""
        task = asyncio.current_task()
        assert task is not None
        session = Session(self._missions, self.port)
        self._clients[task] = writer
        try:
            if len(self._clients) > MAX_CONNECTIONS:
                raise WireError(f"more than {MAX_CONNECTIONS} clients")
            _keep_alive(writer)
            await self._answer(session, reader, writer)
        except (WireError, MissionError) as error:
            _log.warning("a client is cut off: %s", error)
            writer.transport.abort()
        except ConnectionError:
            _log.info("a client is gone")
        except Exception:  # one client's session must not end those of others
            _log.exception("a session has failed")
        finally:
            session.close()
            del self._clients[task]
            writer.close()
        if session.exit:
            self.ended.set()

    async def _answer(
        self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read and reply in turn; the world's steps run in a thread."""
        hello_until = asyncio.get_running_loop().time() + HELLO_S
        while not session.over:
            data = await _read(reader, None if session.greeted else hello_until)
            if not data:
                if session.unfinished:
                    raise WireError("the connection ended in the middle of a message")
                return
            session.receive(data)
            while (reply := await asyncio.to_thread(session.next_reply)) is not None:
                writer.write(reply)
                try:
                    await asyncio.wait_for(writer.drain(), STALLED_S)
                except TimeoutError:
                    raise WireError(f"a client that reads nothing for {STALLED_S:g} s") from None


async def _read(reader: asyncio.StreamReader, until: float | None) -> bytes:
    """The next bytes, b"" at the end; `until` is when a client must have said hello, by the loop's clock."""
    try:
        async with asyncio.timeout_at(until):
            return await reader.read(READ_BYTES)
    except TimeoutError:
        raise WireError(f"no hello within {HELLO_S:g} s") from None


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Small replies at once, and a client whose machine has died is noticed."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def run(server: MalmoServer, on_start: Callable[[MalmoServer], None]) -> None:
    """Serve until a client asks for the end, Ctrl-C or SIGTERM; `on_start(server)` is called once it listens."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # on Windows
            loop.add_signal_handler(signal.SIGTERM, server.ended.set)
        async with server:
            on_start(server)
            await server.ended.wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())

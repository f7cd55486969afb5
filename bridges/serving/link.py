"""Link: one TCP connection of the websocket server, from its first byte on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from bridges.protocol.fragments import FragmentCounter
from bridges.serving.admission import Admission
from bridges.serving.peer import Peer

log = logging.getLogger("iafm.bridge")
READ_BYTES = 8 << 10
"""Most bytes taken at once: the library parses what it gets in one go, some 4 µs for a message of one byte."""

DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class WebsocketLink(ServerConnection):
    """Reports itself to the admission, and writes and closes without waiting."""

    def __init__(self, admission: Admission[WebsocketLink], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.peer: Peer | None = None
        """Set once the websocket is open."""
        self._admission = admission
        self._fragments = FragmentCounter(admission.limits)
        self._ending: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        with contextlib.suppress(AttributeError):  # asyncio's selector loop has it, others may not
            transport.max_size = READ_BYTES  # type: ignore[attr-defined]
        super().connection_made(transport)
        for oldest in self._admission.enter(self, time.monotonic()):
            oldest.drop(4429, "too many connections wait without a hello")

    def connection_lost(self, exc: Exception | None) -> None:
        self._admission.leave(self)
        if self.peer is not None and self.protocol.close_rcvd is not None:
            self.peer.connection.close(1000, "the peer closed")
        elif self.peer is not None:
            self.peer.connection.close(1006, "the connection was lost")
            self.peer = None  # it refers to this link: without a cycle, both go at once
        super().connection_lost(exc)

    def process_event(self, event: Any) -> None:
        is_data = isinstance(event, Frame) and event.opcode in DATA
        if is_data and (reason := self._fragments.add(is_last=event.fin)):
            self.drop(4429, reason)
            return
        super().process_event(event)
        is_control = isinstance(event, Frame) and event.opcode in (Opcode.PING, Opcode.PONG)
        if is_control and self.peer is not None:
            self.peer.connection.receive_control_frame(len(event.data), time.monotonic())
            self.peer.flush()

    def write(self, data: str | bytes) -> None:
        """Send without waiting; a peer that does not read is cut off by its connection's `tick`."""
        broadcast([self], data)

    def end(self, code: int, reason: str) -> None:
        """Begin to close, at once where the peer does not read; its place is free from now on."""
        if self._ending is not None:
            return
        self._ending = asyncio.ensure_future(self.close(code, reason))
        abort(self._admission.start_closing(self, time.monotonic()))
        if code == 4504:
            log.warning("%d: %s; cut off", code, reason)
            self.transport.abort()
        elif code == 4429:
            self.transport.pause_reading()  # what it still sends is not worth parsing

    def drop(self, code: int, reason: str) -> None:
        """End a connection whose time is over, politely where a websocket is open and not yet closing."""
        if self.peer is None or self.peer.connection.is_closed:
            self.transport.abort()
        else:
            self.peer.close(code, reason)

    def tick(self, now: float) -> None:
        """Keep the connection's deadlines."""
        if self.peer is None:
            return
        connection = self.peer.connection
        connection.tick(now, self.transport.get_write_buffer_size())
        self.peer.flush()
        if connection.ping_due(now):
            connection.liveness.pinged(now)
            self._pinging = asyncio.ensure_future(self._ping(self.peer))

    async def _ping(self, peer: Peer) -> None:
        with contextlib.suppress(ConnectionClosed):
            pong = await self.ping()
            await pong
            peer.connection.liveness.ponged(time.monotonic())


def keep_deadlines(admission: Admission[WebsocketLink], now: float) -> None:
    """End what is over: hellos and closings that take too long, peers that do not read."""
    for link in admission:
        link.tick(now)
    for link in admission.overdue(now):
        link.drop(4408, "no hello in time: many connections wait")


def abort(links: Iterable[WebsocketLink]) -> None:
    """End connections at once, without a close frame."""
    for link in links:
        link.transport.abort()

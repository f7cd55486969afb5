"""Dropping proxy: a TCP proxy in a thread that cuts its connections at chosen bytes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHUNK = 4096


class DroppingProxy:
    """Passes bytes on to `port`; `arm(n)` cuts the open connection after `n` more bytes of either direction."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.cut_at: float | None = None
        """When the last cut happened, in seconds of the monotonic clock; None since `arm`."""
        self._target = port
        self._left: int | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def arm(self, size: int) -> None:
        """Cut all connections after `size` more bytes."""
        self.cut_at, self._left = None, size

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until one side closes."""
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        pair = {writer, back}
        self._writers |= pair
        try:
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
        except OSError:
            pass  # the other side was cut
        finally:
            self._writers -= pair
            for end in pair:
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if self._left is not None and self._left <= len(data):
                writer.write(data[: self._left])
                self._cut()
                return
            if self._left is not None:
                self._left -= len(data)
            writer.write(data)
            await writer.drain()
        writer.transport.abort()

    def _cut(self) -> None:
        """Close every connection, without a word of its protocol; what was written before still arrives."""
        self._left, self.cut_at = None, time.monotonic()
        for writer in self._writers:
            writer.close()


@contextmanager
def dropping_proxy(port: int) -> Iterator[DroppingProxy]:
    """A proxy on a free port of loopback, in front of `port`."""
    proxy = DroppingProxy(port)
    started = threading.Event()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
        server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        started.set()
        await stopped.wait()
        server.close()
        for writer in list(proxy._writers):
            writer.transport.abort()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    try:
        yield proxy
    finally:
        stop[0]()
        thread.join()

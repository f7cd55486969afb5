"""Reverse proxy: serves a bridge server below a path of its own port, for tests of the console."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType

_CHUNK = 64 << 10


class PrefixProxy:
    """`with PrefixProxy("/game1") as proxy: proxy.target = port`; without the prefix a request is not passed on.

    It stays at its port while `target` changes, so that a server may go and another come.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.target = 0
        """Port of the server on loopback."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}/"

    def __enter__(self) -> PrefixProxy:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._pipes: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._started.set()
        await self._stop.wait()
        server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._pass_on(reader, writer)
        finally:
            self._pipes.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, and whatever both sides send after it."""
        method, path, version = (await reader.readuntil(b"\r\n")).split(b" ", 2)
        prefix = self.prefix.encode()
        if not path.startswith(prefix + b"/"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")
            return
        answers, requests = await asyncio.open_connection("127.0.0.1", self.target)
        requests.write(b" ".join((method, path.removeprefix(prefix), version)))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, requests))
                group.create_task(_copy(answers, writer))
        except* OSError:
            pass
        finally:
            requests.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()

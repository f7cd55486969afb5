"""Attack: what a hostile peer needs to reach a server, past the library where that is cheaper for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bridges.testing.load_test import WIRE

SPEC: dict[str, Any] = {
    "id": "hostile-v0",
    "title": "Hostile",
    "frame": {"height": 48, "width": 64},
    "step_hz": 20,
    "controls": [{"kind": "button", "name": "go"}],
}


@dataclass
class Attack:
    """One kind's way to the server; `frames` counts its random, mutated and otherwise wrong pictures."""

    url: str
    token: str | None
    rng: Random
    frames: int = 0

    def hello(self, **fields: Any) -> str:
        """A hello to play, with other fields where they are given."""
        hello = {"type": "hello", "spec": SPEC, "mode": "realtime", "token": self.token, **fields}
        return json.dumps(hello)

    @contextlib.asynccontextmanager
    async def connection(self, **options: Any) -> AsyncIterator[ClientConnection]:
        """A websocket, before its hello; it is cut without a farewell."""
        connection = await connect(
            self.url, **WIRE, close_timeout=0.1, ping_interval=None, **options
        )
        try:
            yield connection
        finally:
            connection.transport.abort()

    @contextlib.asynccontextmanager
    async def game(self, **hello: Any) -> AsyncIterator[ClientConnection]:
        """A game behind its welcome, whose answers are read and thrown away."""
        async with self.connection() as game:
            await game.send(self.hello(**hello))
            await game.recv()
            reading = asyncio.create_task(read_all(game))
            try:
                yield game
            finally:
                reading.cancel()
                await asyncio.wait([reading])

    async def send_pictures(self, data: Iterable[bytes], hz: float, **hello: Any) -> None:
        """A game that sends wrong pictures at a pace until it is closed."""
        async with self.game(**hello) as game:
            started = time.monotonic()
            for number, picture in enumerate(data):
                await game.send(picture)
                self.frames += 1
                await asyncio.sleep(max(0.0, started + number / hz - time.monotonic()))

    async def flood(self, texts: Iterator[str], burst: int = 1000) -> None:
        """A game that sends `burst` messages in one write, again and again until it is closed."""
        async with self.game() as game:
            await flood(game, texts, burst)


async def flood(connection: ClientConnection, texts: Iterator[str], burst: int) -> None:
    """As many messages as the server takes, past the library: a frame is cheaper to make than to read."""
    while chunk := b"".join(websocket_frame(text.encode()) for text in islice(texts, burst)):
        connection.transport.write(chunk)
        while connection.transport.get_write_buffer_size() > len(chunk):
            await asyncio.sleep(0.01)
        if connection.transport.is_closing():
            return
        await asyncio.sleep(0.01)


def websocket_frame(data: bytes, opcode: int = 1) -> bytes:
    """A final frame of a client, with a mask of zeros."""
    size = len(data)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + data


async def read_all(connection: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for _ in connection:
            pass


def text_message(message_type: str, /, **fields: Any) -> str:
    return json.dumps({"type": message_type, **fields})


def forever(*data: Any) -> Iterator[Any]:
    """These in turn, without an end."""
    return cycle(data)

"""Stalled reader: a peer that stops reading is cut off, and the others play on."""

import asyncio
import json
import socket
import time

import numpy as np
from websockets.asyncio.client import connect

from bridges.protocol import frames
from bridges.serving.limits import ServerLimits
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from games import FrameSize, GameSpec
from games.controls import Button

SPEC = GameSpec(
    id="noise-v0",
    title="Noise",
    frame=FrameSize(height=120, width=160),
    step_hz=60,
    controls=(Button(name="go"),),
)
NOISE = np.random.default_rng(0).integers(0, 255, SPEC.frame.shape, np.uint8)


LIMITS = ServerLimits(stall_s=0.3, stall_bytes=200_000, watch_hz=1000.0)


def test_a_watcher_that_does_not_read_is_cut_off() -> None:
    asyncio.run(_stall())


async def _stall() -> None:
    async with BridgeServer(RandomPolicy(), port=0, limits=LIMITS) as bridge:
        stalled = await asyncio.to_thread(_stalled_watcher, bridge.port)
        while not bridge.watchers:
            await asyncio.sleep(0.01)
        async with connect(bridge.url, compression=None, proxy=None) as game:
            await game.send(
                json.dumps(
                    {"type": "hello", "mode": "lockstep", "spec": SPEC.model_dump(mode="json")}
                )
            )
            await game.recv()
            data = frames.pack(NOISE, 1, 1, frames.Codec.JPEG)
            deadline = time.monotonic() + 60
            while bridge.watchers:
                await game.send(data)
                assert json.loads(await game.recv())["type"] == "act"
                assert time.monotonic() < deadline
            await game.send(data)
            assert json.loads(await game.recv())["type"] == "act"
        stalled.close()


def _stalled_watcher(port: int) -> socket.socket:
    """A raw socket that sends a watcher's hello and never reads again."""
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", port))
    stalled.sendall(
        f"GET /v1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert stalled.recv(4096).startswith(b"HTTP/1.1 101")
    hello = b'{"type":"hello","role":"watch"}'
    stalled.sendall(bytes([0x81, 0x80 | len(hello)]) + b"\0\0\0\0" + hello)
    return stalled

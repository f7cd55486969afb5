"""Frame fuzzing: random and mutated frames for a connection's state machine and the decoder, without a socket."""

from __future__ import annotations

import contextlib
import json
import logging
from random import Random

from bridges.protocol.connection import Connection
from bridges.protocol.frames import HEADER, EncodedFrame, FrameError
from bridges.protocol.limits import ConnectionLimits
from bridges.testing import hostile_pictures as pictures
from bridges.testing.attack import SPEC

log = logging.getLogger("iafm.bridge")
STEP_S = 0.01
"""Time between two frames, so that the connection's budget suffices."""


def fuzz(frames: int, seed: int) -> dict[str, int]:
    """So many frames, each received and decoded where it may be; counts `frames` and `exceptions`.

    A `FrameError` of the decoder is no exception: the server answers it.
    """
    rng, exceptions, decoded = Random(seed), 0, 0
    now = 0.0
    connection = _attached(now)
    for _ in range(frames):
        now += STEP_S
        if connection.is_closed:
            connection = _attached(now)
        try:
            decoded += _receive(connection, _frame(rng), now)
        except Exception:
            log.exception("a frame raised")
            exceptions += 1
    return {"frames": frames, "decoded": decoded, "exceptions": exceptions}


def _attached(now: float) -> Connection:
    connection = Connection(ConnectionLimits(), token=None, now=now)
    hello = {"type": "hello", "spec": SPEC, "agents": 2, "cameras": 3}
    connection.receive(json.dumps(hello), now)
    connection.accept(session="a", policy="stub", instruction="", warnings=())
    return connection


def _frame(rng: Random) -> bytes:
    original = rng.choice((pictures.small, pictures.small_png))()
    match rng.randrange(5):
        case 0:
            return pictures.random_message(rng)
        case 1:
            return pictures.mutated(original, rng)
        case 2:  # another camera and agent
            return original[:6] + bytes((rng.randrange(5), rng.randrange(3))) + original[8:]
    return pictures.mutated(original, rng, HEADER.size)


def _receive(connection: Connection, data: bytes, now: float) -> int:
    """What the server does with a frame; returns how many pictures came out."""
    decoded = 0
    for received in connection.receive(data, now):
        assert isinstance(received, EncodedFrame)
        with contextlib.suppress(FrameError):
            decoded += received.decode().ndim == 3
            received.decode_cameras()
    connection.data_to_send()
    return decoded

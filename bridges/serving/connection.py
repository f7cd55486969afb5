"""Messages over one server connection: sending, checking what was received, cutting off stalled readers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from websockets.asyncio.server import Server, ServerConnection

from bridges.protocol.messages import ErrorMessage, FromClient, MessageError, from_client
from bridges.serving.limits import ServerLimits

log = logging.getLogger("iafm.bridge")
WATCHDOG_PERIOD_S = 0.25


async def send(connection: ServerConnection, message: Any) -> None:
    """Send a message model as JSON."""
    await connection.send(message.model_dump_json())


def send_nowait(connection: ServerConnection, message: Any) -> None:
    """Send a model, text or bytes without waiting; `abort_stalled` ends a peer that does not read."""
    data = message if isinstance(message, str | bytes) else message.model_dump_json()
    task = asyncio.ensure_future(connection.send(data))
    task.add_done_callback(lambda t: t.cancelled() or t.exception())


async def parse(connection: ServerConnection, data: str) -> FromClient | None:
    """The message in `data`; None after answering an unusable one with an `error`."""
    try:
        message = from_client(data)
    except MessageError as error:
        problem = ErrorMessage(code="bad_message", message=str(error), path=error.path)
        await send(connection, problem)
        return None
    if message is None:
        reason = "this server does not know that type of message"
        await send(connection, ErrorMessage(code="unknown_type", message=reason))
    return message


async def abort_stalled(server: Server, limits: ServerLimits) -> None:
    """Abort connections whose peer has stopped reading, until cancelled.

    The library itself waits for ever on a full buffer: its keepalive and its shutdown hang.
    """
    stalled_since: dict[Any, float] = {}
    while True:
        await asyncio.sleep(WATCHDOG_PERIOD_S)
        now = time.monotonic()
        for connection in list(server.connections):
            if connection.transport.get_write_buffer_size() <= limits.stall_bytes:
                stalled_since.pop(connection, None)
            elif now - stalled_since.setdefault(connection, now) > limits.stall_s:
                log.warning("4504: a peer does not read; cut off")
                connection.transport.abort()
                stalled_since.pop(connection, None)

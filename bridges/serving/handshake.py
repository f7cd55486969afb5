"""Handshake: the first message of a connection, its version and its token."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.typing import Subprotocol

from bridges.protocol.messages import (
    SUBPROTOCOL,
    VERSION,
    ErrorMessage,
    Hello,
    MessageError,
    from_client,
)
from bridges.serving.connection import send


class ConnectionRefused(Exception):
    """The connection must be closed with `code` and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def select_subprotocol(connection: ServerConnection, offered: Any) -> Subprotocol | None:
    """Our subprotocol where it is offered; a client that offers none is accepted too."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


async def receive_hello(
    connection: ServerConnection, *, token: str | None, timeout_s: float
) -> Hello:
    """The checked hello; raises `ConnectionRefused` with a close code of the protocol."""
    try:
        first = await asyncio.wait_for(connection.recv(), timeout_s)
    except TimeoutError:
        raise ConnectionRefused(4408, f"no hello within {timeout_s:g} s") from None
    try:
        hello = from_client(first) if isinstance(first, str) else None
    except MessageError as error:
        problem = ErrorMessage(code="bad_message", message=str(error), path=error.path)
        await send(connection, problem)
        raise ConnectionRefused(4400, str(error)) from None
    if not isinstance(hello, Hello):
        raise ConnectionRefused(4400, "the first message is a hello")
    if hello.version != VERSION:
        reason = f"this server speaks version {VERSION}, not {hello.version}"
        raise ConnectionRefused(4426, reason)
    if token and not hmac.compare_digest((hello.token or "").encode(), token.encode()):
        raise ConnectionRefused(4401, "wrong or missing token")
    return hello

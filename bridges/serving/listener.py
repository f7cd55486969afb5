"""Listener: the websocket server on its port, or one line that says why there is none."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from bridges.errors import BridgeError
from bridges.protocol.messages import MAX_MESSAGE, SUBPROTOCOL
from bridges.protocol.wire_log import WIRE_LOG
from bridges.serving.admission import Admission
from bridges.serving.limits import ServerLimits
from bridges.serving.link import WebsocketLink

MAX_QUEUE = 2
"""Messages that wait for our reading, beyond those of one read."""
ADDRESS_IN_USE = (98, 48, 10048)
"""Error numbers of Linux, macOS and Windows."""


async def listen(
    host: str,
    port: int,
    limits: ServerLimits,
    *,
    admission: Admission[WebsocketLink],
    handle: Callable[[ServerConnection], Awaitable[None]],
    http: Callable[[ServerConnection, Request], Response | None],
) -> Server:
    """Accept connections from now on; raises `BridgeError`."""
    link: Any = functools.partial(WebsocketLink, admission)
    try:
        return await serve(
            handle, host, port, create_connection=link, compression=None, max_size=MAX_MESSAGE,
            max_queue=MAX_QUEUE, process_request=http, select_subprotocol=select_subprotocol,
            ping_interval=None, logger=WIRE_LOG, open_timeout=limits.hello_timeout_s,
            close_timeout=limits.close_s,
        )  # fmt: skip
    except OSError as error:
        raise BridgeError(
            f"port {port} on {host} is taken: stop the other server or choose another with --port"
            if error.errno in ADDRESS_IN_USE
            else f"cannot listen on {host}:{port}: {error.strerror or error}"
        ) from None
    except OverflowError:
        raise BridgeError(f"port {port} is none: choose one of 0 to 65535") from None


def select_subprotocol(connection: ServerConnection, offered: Any) -> Subprotocol | None:
    """Our subprotocol where it is offered; a client that offers none is accepted too."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def authority(host: str, port: int) -> str:
    """Host and port as they stand in an address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

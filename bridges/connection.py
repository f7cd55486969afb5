"""Client connection: address, handshake, and messages with every failure as a `BridgeError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bridges.errors import BridgeError
from bridges.protocol import messages
from bridges.protocol.address import websocket_url
from bridges.protocol.messages import (
    MAX_MESSAGE,
    SUBPROTOCOL,
    ErrorMessage,
    Event,
    FromServer,
    Hello,
    Instruct,
    MessageError,
    Query,
    Subscribe,
    Welcome,
)
from bridges.protocol.wire_log import WIRE_LOG

REPLY_TIMEOUT_S = 30.0
_M = TypeVar("_M", Event, Hello, Instruct, Query, Subscribe)


def open_connection(url: str, hello: Hello) -> tuple[ExitStack, ClientConnection, Welcome]:
    """A connection behind its handshake; raises `BridgeError`."""
    url = websocket_url(url)
    exit_stack = ExitStack()
    try:
        connection = exit_stack.enter_context(
            connect(
                url, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, max_size=MAX_MESSAGE,
                open_timeout=10, close_timeout=2, proxy=None, logger=WIRE_LOG,
            )
        )  # fmt: skip
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise BridgeError(f"no server at {url}: {error}; start one with `iafm serve`") from None
    except (ValueError, InvalidURI) as error:
        raise BridgeError(f"{url} is no server's address: {error}") from None
    try:
        return exit_stack, connection, _welcome(connection, hello)
    except BaseException:
        exit_stack.close()
        raise


def _welcome(connection: ClientConnection, hello: Hello) -> Welcome:
    """The server's answer to the hello; raises `BridgeError` with its reason where it refuses."""
    problem: BridgeError | None = None
    try:
        connection.send(hello.model_dump_json())
        for message in receive(connection, REPLY_TIMEOUT_S):
            if isinstance(message, Welcome):
                return message
            if isinstance(message, ErrorMessage):
                problem = error_of(message)
    except ConnectionClosed as closed:
        raise closed_error(closed) from None
    except BridgeError as error:
        raise problem or error from None
    raise problem or BridgeError("the server closed the connection without a welcome")


def receive(connection: ClientConnection, timeout_s: float | None = None) -> Iterator[FromServer]:
    """The server's text messages until it closes; raises `BridgeError` where none comes within `timeout_s`."""
    while True:
        try:
            data = connection.recv(timeout=timeout_s)
            message = messages.from_server(data) if isinstance(data, str) else None
        except TimeoutError:
            raise BridgeError(f"no answer within {timeout_s:g} s") from None
        except ConnectionClosedOK:
            return
        except ConnectionClosed as closed:
            raise closed_error(closed) from None
        except MessageError as error:
            raise BridgeError(f"the server does not speak {SUBPROTOCOL}: {error}") from None
        if message is not None:
            yield message


def build(model: type[_M], **values: Any) -> _M:
    """A message from values; raises `BridgeError` with the first wrong field."""
    try:
        return messages.build(model, **values)
    except MessageError as error:
        raise BridgeError(str(error)) from None


def error_of(error: ErrorMessage) -> BridgeError:
    """The server's error as an exception, with its way out."""
    return BridgeError(f"{error.message}; {error.hint}" if error.hint else error.message)


def closed_error(error: ConnectionClosed) -> BridgeError:
    """A closed connection as an exception, with the server's code and reason."""
    close = error.rcvd
    reason = f"{close.code} {close.reason}" if close else "connection lost"
    return BridgeError(f"the server ended the session: {reason}")

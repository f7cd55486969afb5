"""Client connection: address, handshake, and messages with every failure as a `BridgeError`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bridges.errors import AnswerError, BridgeError, DisconnectedError
from bridges.protocol import messages
from bridges.protocol.address import websocket_url
from bridges.protocol.client_session import with_hint
from bridges.protocol.fields import Message
from bridges.protocol.messages import (
    MAX_MESSAGE,
    SUBPROTOCOL,
    ErrorMessage,
    FromServer,
    Hello,
    MessageError,
    Welcome,
)
from bridges.protocol.wire_log import WIRE_LOG

REPLY_TIMEOUT_S = 30.0
PING_S = 5.0
"""A connection that has gone silent is noticed after this time and `PONG_S`."""
PONG_S = 10.0
_M = TypeVar("_M", bound=Message)


OPTIONS: dict[str, Any] = {
    "subprotocols": [Subprotocol(SUBPROTOCOL)], "compression": None, "max_size": MAX_MESSAGE,
    "open_timeout": 10, "close_timeout": 2, "proxy": None,
    "ping_interval": PING_S, "ping_timeout": PONG_S, "logger": WIRE_LOG,
}  # fmt: skip
"""Of every connection of a client."""


@contextmanager
def opening(url: str) -> Iterator[None]:
    """Failures to open a connection as `BridgeError`, or `DisconnectedError` where another try may succeed."""
    try:
        yield
    except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
        reason = f"no server at {url}: {error}; start one with `iafm serve`"
        if isinstance(error, InvalidStatus) and error.response.status_code < 500:
            raise BridgeError(reason) from None
        raise DisconnectedError(reason) from None
    except (ValueError, InvalidURI) as error:
        raise BridgeError(f"{url} is no server's address: {error}") from None


def open_connection(url: str, hello: Hello) -> tuple[ExitStack, ClientConnection, Welcome]:
    """A connection behind its handshake; raises `BridgeError`, `DisconnectedError` where another try may succeed."""
    url = websocket_url(url)
    exit_stack = ExitStack()
    with opening(url):
        connection = exit_stack.enter_context(connect(url, **OPTIONS))
    try:
        return exit_stack, connection, _welcome(connection, hello)
    except BaseException:
        exit_stack.close()
        raise


def _welcome(connection: ClientConnection, hello: Hello) -> Welcome:
    """The server's answer to the hello; raises `BridgeError` with its reason where it refuses."""
    problem: ErrorMessage | None = None
    try:
        connection.send(hello.model_dump_json())
        for message in receive(connection, REPLY_TIMEOUT_S):
            if isinstance(message, Welcome):
                return message
            if isinstance(message, ErrorMessage):
                problem = message
    except ConnectionClosed as closed:
        raise closed_error(closed) from None
    except DisconnectedError as error:
        if problem is not None:
            raise DisconnectedError(with_hint(problem), error.code) from None
        raise
    raise DisconnectedError("the server closed the connection without a welcome", 1000)


def receive(connection: ClientConnection, timeout_s: float | None = None) -> Iterator[FromServer]:
    """As `receive_text`, as messages; those of unknown types are left out."""
    for text in receive_text(connection, timeout_s):
        try:
            message = messages.from_server(text)
        except MessageError as error:
            raise foreign_error(error) from None
        if message is not None:
            yield message


def receive_text(connection: ClientConnection, timeout_s: float | None = None) -> Iterator[str]:
    """The server's text messages until it closes; raises `DisconnectedError`, also where none comes in time."""
    while True:
        try:
            data = connection.recv(timeout=timeout_s)
        except TimeoutError:
            raise DisconnectedError(f"no answer within {timeout_s:g} s") from None
        except ConnectionClosedOK as closed:
            if closed.rcvd is not None and closed.rcvd.code == 1000:
                return
            raise closed_error(closed) from None
        except ConnectionClosed as closed:
            raise closed_error(closed) from None
        if isinstance(data, str):
            yield data


def build(model: type[_M], **values: Any) -> _M:
    """A message from values; raises `BridgeError` with the first wrong field."""
    try:
        return messages.build(model, **values)
    except MessageError as error:
        raise BridgeError(str(error)) from None


def error_of(error: ErrorMessage) -> BridgeError:
    """The server's error as an exception, with its way out."""
    return BridgeError(with_hint(error))


def with_errors(
    on_message: Callable[[FromServer], None], on_error: Callable[[AnswerError], None]
) -> Callable[[FromServer], None]:
    """Hands on every message, and those that are errors as errors too."""

    def receive(message: FromServer) -> None:
        on_message(message)
        if isinstance(message, ErrorMessage):
            on_error(AnswerError(with_hint(message), message.code))

    return receive


def foreign_error(error: MessageError) -> BridgeError:
    """A message that is none, as an exception."""
    return BridgeError(f"the server does not speak {SUBPROTOCOL}: {error}")


def closed_error(error: ConnectionClosed) -> DisconnectedError:
    """A closed connection as an exception, with the server's code and reason."""
    close = error.rcvd
    reason = f"{close.code} {close.reason}" if close else "connection lost"
    return DisconnectedError(
        f"the server ended the session: {reason}", close.code if close else None
    )

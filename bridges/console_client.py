"""Console client: ask, instruct and watch a running server; blocking."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from bridges.connection import (
    REPLY_TIMEOUT_S,
    build,
    closed_error,
    error_of,
    open_connection,
    receive,
)
from bridges.errors import BridgeError
from bridges.protocol.messages import (
    Act,
    Answer,
    ErrorMessage,
    Event,
    Hello,
    Instruct,
    Query,
    State,
    Subscribe,
)

WatchMessage = Act | Event | Instruct | State


def ask(url: str, kind: str, *, session: str | None = None, token: str | None = None) -> str:
    """Answer of a running server about a session (None: the newest); raises `BridgeError`."""
    query = build(Query, kind=kind, session=session)
    with _attached(url, "query", token) as connection:
        connection.send(query.model_dump_json())
        for message in receive(connection, REPLY_TIMEOUT_S):
            if isinstance(message, Answer):
                return message.text
            if isinstance(message, ErrorMessage):
                raise error_of(message)
    raise BridgeError("the server closed the connection")


def instruct(
    url: str,
    text: str = "",
    *,
    release: bool = False,
    session: str | None = None,
    token: str | None = None,
) -> str:
    """Set the instruction of a session (None: the newest); returns its name once the instruction counts.

    It stays, whatever the game asks for, until `release`. Raises `BridgeError` where the server refuses.
    """
    message = build(Instruct, text=text, release=release, session=session)
    with _attached(url, "query", token) as connection:
        connection.send(message.model_dump_json())
        for reply in receive(connection, REPLY_TIMEOUT_S):
            if isinstance(reply, Instruct):
                return reply.session or ""
            if isinstance(reply, ErrorMessage):
                raise error_of(reply)
    raise BridgeError("the server closed the connection")


def watch(
    url: str, *, session: str | None = None, token: str | None = None
) -> Generator[WatchMessage]:
    """Messages about one session (None: whichever is the newest), without pictures.

    Of equal `State` messages in a row only the first is yielded. Ends when the named session ends; raises
    `BridgeError` where there is no such session.
    """
    subscription = build(Subscribe, session=session)
    last_state: State | None = None
    attached = False
    with _attached(url, "watch", token) as connection:
        if session is not None:
            connection.send(subscription.model_dump_json())
        for message in receive(connection):
            match message:
                case ErrorMessage():
                    raise error_of(message)
                case State():
                    present = any(game.session == session for game in message.sessions)
                    if attached and not present:
                        return
                    if message != last_state and (present or session is None):
                        yield message
                    last_state, attached = message, present
                case Act() | Event() | Instruct():
                    yield message


@contextmanager
def _attached(url: str, role: str, token: str | None) -> Iterator[ClientConnection]:
    """The connection of a console or a tool."""
    exit_stack, connection, _ = open_connection(url, build(Hello, role=role, token=token))
    with exit_stack:
        try:
            yield connection
        except ConnectionClosed as closed:
            raise closed_error(closed) from None

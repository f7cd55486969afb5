"""Peer: one connection's state machine with what writes for it."""

from __future__ import annotations

from typing import Any, Protocol

from bridges.protocol.connection import Connection
from bridges.protocol.messages import ErrorMessage
from bridges.serving.outbox import Outbox
from bridges.serving.sessions import Session, Watcher


class Link(Protocol):
    """An open connection; neither method waits."""

    def write(self, data: str | bytes) -> None: ...

    def end(self, code: int, reason: str) -> None:
        """Begin to close; called once or more."""
        ...


class Peer:
    """A game, a console or a tool; `session` or `watcher` is what it is in the registry.

    A game of several agents has `others` too, the sessions of its agents from 1 on.
    """

    def __init__(self, connection: Connection, link: Link) -> None:
        self.connection = connection
        self.session: Session | None = None
        self.others: list[Session] = []
        self.watcher: Watcher | None = None
        self._link = link

    @property
    def sessions(self) -> list[Session]:
        """The sessions of a game's agents; none where it is no game."""
        return [] if self.session is None else [self.session, *self.others]

    def session_of(self, agent: int) -> Session | None:
        """The session of one of a game's agents; None where it is no game."""
        return self.others[agent - 1] if agent and self.others else self.session

    @property
    def outbox(self) -> Outbox:
        """Where answers to its messages go, also once another connection has resumed its session."""
        return self.session.peer if self.session is not None else self

    def send(self, message: Any) -> None:
        """Send a message model, or text or bytes as they are."""
        self.connection.send(message)
        self.flush()

    def refuse(self, error: ErrorMessage, code: int) -> None:
        """Send an error and close."""
        self.connection.refuse(error, code)
        self.flush()

    def close(self, code: int, reason: str) -> None:
        self.connection.close(code, reason)
        self.flush()

    def is_there(self) -> bool:
        """Whether its connection is open."""
        return not self.connection.is_closed

    def flush(self) -> None:
        """Write what waits, and close where the connection is over."""
        for data in self.connection.data_to_send():
            self._link.write(data)
        if self.connection.close_code is not None:
            self._link.end(self.connection.close_code, self.connection.close_reason)

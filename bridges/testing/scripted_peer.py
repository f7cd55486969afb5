"""Scripted peer: the other side of a server's connection, in memory, with a time of its own."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from bridges.protocol.connection import Connection, Received
from bridges.protocol.frames import pack
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.messages import ErrorMessage, from_server

PIXELS = np.zeros((2, 3, 3), np.uint8)


class ScriptedPeer:
    """A connection with its peer's side; `now` is the time of what comes next, in seconds."""

    def __init__(
        self, limits: ConnectionLimits, hello: dict[str, Any], token: str | None = None
    ) -> None:
        self.now = 100.0
        self.hello = {"type": "hello", **hello}
        self.connection = Connection(limits, token=token, now=self.now)

    def attach(self) -> ScriptedPeer:
        """Say hello, and get through it."""
        assert self.send(self.hello)
        self.connection.accept(session="a", policy="p", instruction="", warnings=())
        self.received()
        return self

    def send(self, message: dict[str, Any] | str | bytes) -> list[Received]:
        """Hand a message to the server; returns what it asks of the server."""
        data = json.dumps(message) if isinstance(message, dict) else message
        return self.connection.receive(data, self.now)

    def picture(self, number: int) -> list[Received]:
        """Send a small picture of this number."""
        return self.send(pack(PIXELS, number, 0))

    def received(self) -> list[Any]:
        """What the server sent since the last call."""
        return [
            from_server(data) if isinstance(data, str) else data
            for data in self.connection.data_to_send()
        ]

    def errors(self) -> list[ErrorMessage]:
        """As `received`, which must be errors."""
        received = self.received()
        assert all(isinstance(message, ErrorMessage) for message in received)
        return received

    @property
    def closed(self) -> tuple[int | None, str]:
        """Code and reason of the close; None and nothing while it is open."""
        return self.connection.close_code, self.connection.close_reason

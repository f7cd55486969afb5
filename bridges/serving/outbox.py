"""Outbox: where messages to a peer go, also while it has no connection; nothing waits."""

from __future__ import annotations

from typing import Any, Protocol

from bridges.protocol.mailbox import Mailbox


class Outbox(Protocol):
    """Where messages to a peer go; nothing waits."""

    def send(self, message: Any) -> None:
        """Send a message model, or text or bytes as they are."""
        ...

    def close(self, code: int, reason: str) -> None: ...


class AbsentPeer:
    """The outbox of a session without a connection: what must arrive waits in its mailbox."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def send(self, message: Any) -> None:
        if not isinstance(message, str | bytes):
            self._mailbox.encode(message)

    def close(self, code: int, reason: str) -> None:
        pass

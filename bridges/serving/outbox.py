"""Outbox: where messages to a peer go; nothing waits."""

from __future__ import annotations

from typing import Any, Protocol


class Outbox(Protocol):
    """Where messages to a peer go; nothing waits."""

    def send(self, message: Any) -> None:
        """Send a message model, or text or bytes as they are."""
        ...

    def close(self, code: int, reason: str) -> None: ...

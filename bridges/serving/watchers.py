"""Watchers: the connected consoles, and who of them sees which session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import ServerConnection

from bridges.protocol import frames
from bridges.serving.batcher import CompletedObservation
from bridges.serving.connection import send_nowait
from bridges.serving.sessions import Attachment, SessionRegistry


@dataclass(eq=False)
class Watcher:
    """A console; `session` None follows the newest."""

    connection: ServerConnection
    session: str | None = None
    last_frame_at: float = float("-inf")
    """Time of its last picture, in seconds of the monotonic clock."""


class Watchers:
    """All consoles of a server; each gets at most `hz` pictures a second."""

    def __init__(self, sessions: SessionRegistry, hz: float) -> None:
        self._sessions = sessions
        self._hz = hz
        self._watchers: set[Watcher] = set()

    def add(self, watcher: Watcher) -> None:
        self._watchers.add(watcher)

    def discard(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def __len__(self) -> int:
        return len(self._watchers)

    def broadcast(self, message: Any) -> None:
        """Send to all of them."""
        for watcher in self._watchers:
            send_nowait(watcher.connection, message)

    def broadcast_of(self, attachment: Attachment, message: Any) -> None:
        """Send to those that watch one game."""
        for watcher in self._of(attachment):
            send_nowait(watcher.connection, message)

    def show(self, attachment: Attachment, answer: CompletedObservation, now: float) -> None:
        """Send the answered picture as JPEG where a picture is due."""
        due = [w for w in self._of(attachment) if now - w.last_frame_at >= 1 / self._hz]
        if not due:
            return
        encoded = answer.observation.encoded
        data = frames.pack(answer.frame, encoded.number, encoded.t_ns, frames.Codec.JPEG)
        for watcher in due:
            watcher.last_frame_at = now
            send_nowait(watcher.connection, data)

    def sees(self, watcher: Watcher, attachment: Attachment) -> bool:
        """Whether a console gets what is broadcast of a game."""
        return watcher in self._of(attachment)

    def _of(self, attachment: Attachment) -> Iterator[Watcher]:
        return (w for w in self._watchers if self._sessions.get(w.session) is attachment)

"""Session registry: the attached games by name, with their tallies."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection

from bridges.protocol.messages import Hello, SessionState
from bridges.serving.batcher import GameSession


class UnknownSessionError(LookupError):
    """No such session; the message names those there are."""


@dataclass
class Attachment:
    """An attached game: its connection, its session and its tally."""

    connection: ServerConnection
    session: GameSession
    hello: Hello
    episodes: int = 0
    successes: int = 0
    answered_at: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    """Times of the newest answers, in seconds of the monotonic clock."""

    @property
    def name(self) -> str:
        return self.session.name

    @property
    def hz(self) -> float:
        """Answers per second over the newest ones; 0 after two seconds without one."""
        times = self.answered_at
        if len(times) < 2 or time.monotonic() - times[-1] > 2:
            return 0.0
        return (len(times) - 1) / max(times[-1] - times[0], 1e-6)

    def state(self) -> SessionState:
        return SessionState(
            session=self.name,
            game=self.session.player.spec.id,
            instruction=self.session.instruction,
            tasks=self.hello.tasks,
            episodes=self.episodes,
            successes=self.successes,
            hz=round(self.hz, 1),
            dropped=self.session.dropped,
        )


class SessionRegistry:
    """Attached games in the order in which they came."""

    def __init__(self) -> None:
        self._attachments: dict[str, Attachment] = {}

    def add(self, attachment: Attachment) -> None:
        self._attachments[attachment.name] = attachment

    def remove(self, name: str) -> None:
        self._attachments.pop(name, None)

    def get(self, name: str | None) -> Attachment | None:
        """A session by name, the newest for None; None where there is no such session."""
        if name is not None:
            return self._attachments.get(name)
        return next(reversed(self._attachments.values()), None)

    def find(self, name: str | None) -> Attachment:
        """As `get`; raises `UnknownSessionError`."""
        if attachment := self.get(name):
            return attachment
        names = ", ".join(map(repr, self._attachments))
        others = f"there are {names}" if names else "no game is attached yet"
        raise UnknownSessionError(others if name is None else f"no session {name!r}; {others}")

    @property
    def dropped(self) -> int:
        """Replaced observations of all attached games."""
        return sum(attachment.session.dropped for attachment in self)

    def __iter__(self) -> Iterator[Attachment]:
        return iter(self._attachments.values())

    def __len__(self) -> int:
        return len(self._attachments)

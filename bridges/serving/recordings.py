"""Recordings: games of the role `record`, which the recorder holds back and tells what it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from bridges.listener import Observation, Recorded
from bridges.protocol.frames import EncodedFrame
from bridges.protocol.messages import ErrorMessage
from bridges.protocol.record_messages import RecordState
from bridges.serving.listener_threads import Listeners
from bridges.serving.sessions import Session, SessionRegistry
from games import GameSpec

log = logging.getLogger("iafm.bridge")
NOT_RECORDING = ErrorMessage(
    code="not_recording",
    message="this server does not record",
    hint="start it with `iafm serve --record DIR`",
)

NOBODY_DECIDES = ErrorMessage(code="not_allowed", message="nobody but the person plays a recording")


class RecordedPlayer:
    """Stands where a game has the state of its policy: nobody decides."""

    warnings: tuple[str, ...] = ()

    def __init__(self, spec: GameSpec) -> None:
        self.spec = spec

    def reset(self) -> None:
        """Nothing to clear."""

    def close(self) -> None:
        """Nothing to release."""


@dataclass
class _Progress:
    """What a game has heard of its recording."""

    endings: int = 0
    problems: int = 0
    has_begun: bool = False
    """Whether the recorder knows it."""


class Recordings:
    """All recordings of a server; every method returns at once."""

    def __init__(self, sessions: SessionRegistry, listeners: Listeners) -> None:
        self._sessions, self._listeners = sessions, listeners
        self._progress: dict[Session, _Progress] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_due = False
        self.changed = False
        """Whether an episode has ended that consoles have not heard of."""

    def start(self) -> None:
        """Follow the recorder from now on; in a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._listeners.on_progress = self._on_progress

    def close(self) -> None:
        """Follow it no longer."""
        self._loop = None

    def observe(self, session: Session, encoded: EncodedFrame, now: float) -> None:
        """A new picture, for the recorder alone."""
        session.received += 1
        session.rate.count(now)
        seen = Observation(
            encoded.number - 1, encoded, encoded.report, session.current_instruction, int(1e9 * now)
        )
        self._listeners.on_observation(session.name, seen, keep=True)

    def _on_progress(self) -> None:
        """In the recorder's thread: it has gone on."""
        loop = self._loop
        if self._progress and not self._is_due and loop is not None:
            self._is_due = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._follow)

    def _follow(self) -> None:
        self._is_due = False
        if self._loop is not None:
            self.poll(all_of_it=False)

    def poll(self, *, all_of_it: bool) -> None:
        """Tell the games what the recorder has by now; without `all_of_it` credit only where it is much."""
        for session in self._recordings():
            progress = self._progress.setdefault(session, _Progress())
            done = self._listeners.recorded(session.name)
            if done is not None:
                progress.has_begun = True
                self._tell(session, progress, done, all_of_it=all_of_it)
            elif progress.has_begun or not self._listeners.records:
                self._fail(session)

    def _recordings(self) -> Iterator[Session]:
        return (session for session in self._sessions if session.lane is not None)

    def _tell(
        self, session: Session, progress: _Progress, done: Recorded, *, all_of_it: bool
    ) -> None:
        assert session.lane is not None
        if done.problems > progress.problems:
            progress.problems = done.problems
            session.peer.send(ErrorMessage(code="recording_failed", message=done.problem))
        news = done.endings - progress.endings
        if credit := session.lane.take_credit(done.pictures, all_of_it=all_of_it or news > 0):
            session.peer.send(credit)
        for episode in list(done.ended)[-news:] if news else ():
            state = RecordState(
                episode=episode.name, pictures=episode.pictures, bytes=episode.bytes, sha256=episode.sha256,
                steps=episode.steps, dropped=episode.dropped, error=episode.error,
            )  # fmt: skip
            session.peer.send(state)
            self.changed = True
        progress.endings = done.endings

    def _fail(self, session: Session) -> None:
        """Nothing of it is recorded any more, now or over a later connection."""
        reason = "the recorder failed: the server's log says how"
        session.peer.send(ErrorMessage(code="recording_failed", message=reason))
        session.peer.close(4400, reason)
        if session.detached_at is not None:
            self._sessions.remove(session)
            self.release(session)

    def add(self, session: Session) -> None:
        """A recording begins."""
        self._progress[session] = _Progress()

    def release(self, session: Session) -> None:
        """It has left."""
        self._progress.pop(session, None)

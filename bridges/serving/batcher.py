"""How do many players share one brain? One batch over all sessions with something new, again and again.

A realtime session keeps only its newest observation: what a newer one replaces is counted as dropped, so no
answer is ever about an old picture. The policy runs in one worker thread; the event loop never computes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from bridges.policy import Decision, Policy, PolicySession, Request
from bridges.protocol.frames import EncodedFrame, FrameError
from games import Frame

log = logging.getLogger("iafm.bridge")
_T = TypeVar("_T")


@dataclass
class QueuedObservation:
    """An observation that waits for its answer."""

    picture: EncodedFrame
    received: float


@dataclass
class GameSession:
    """One attached player as the batcher sees it."""

    name: str
    player: PolicySession
    lockstep: bool
    instruction: str
    waiting: deque[QueuedObservation] = field(default_factory=deque)
    dropped: int = 0

    def enqueue(self, picture: EncodedFrame) -> None:
        """Take in an observation; in realtime it replaces the one still waiting."""
        if self.waiting and not self.lockstep:
            self.waiting.clear()
            self.dropped += 1
        self.waiting.append(QueuedObservation(picture, time.monotonic()))


@dataclass(frozen=True)
class CompletedObservation:
    """A decision with the times around it, in seconds of the monotonic clock."""

    session: GameSession
    pending: QueuedObservation
    frame: Frame
    decision: Decision
    started: float
    finished: float
    batch: int


class Batcher:
    """Runs `policy` over all sessions; `on_answer` and `on_error` are called in the event loop."""

    def __init__(
        self,
        policy: Policy,
        on_answer: Callable[[CompletedObservation], None],
        on_error: Callable[[GameSession, Exception], None],
    ) -> None:
        self.policy = policy
        self.sessions: dict[str, GameSession] = {}
        self._on_answer, self._on_error = on_answer, on_error
        self._wake = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="policy")

    def notify(self) -> None:
        """Something waits."""
        self._wake.set()

    async def call(self, function: Callable[[], _T]) -> _T:
        """Run something else (attach, ask) in the policy's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := [s for s in self.sessions.values() if s.waiting]:
                for answer in await self.call(lambda b=batch: self._run_batch(b)):  # type: ignore[misc]
                    if isinstance(answer, CompletedObservation):
                        self._on_answer(answer)
                    else:
                        self._on_error(*answer)

    def _run_batch(
        self, batch: list[GameSession]
    ) -> list[CompletedObservation | tuple[GameSession, Exception]]:
        """Decode and decide for all sessions; a failure of one leaves the others be."""
        taken: list[tuple[GameSession, QueuedObservation, Frame, Request]] = []
        results: list[CompletedObservation | tuple[GameSession, Exception]] = []
        begun = time.monotonic()
        for session in batch:
            if not session.waiting:
                continue
            pending = session.waiting.popleft()
            try:
                frame = pending.picture.decode()
            except FrameError as error:
                results.append((session, error))
                continue
            request = Request(session.player, frame, session.instruction)
            taken.append((session, pending, frame, request))
        try:
            decisions = self.policy.act([request for *_, request in taken]) if taken else []
        except Exception as error:  # one broken pass must not end the server
            log.exception("the policy failed on a batch of %d", len(taken))
            return results + [(session, error) for session, *_ in taken]
        ended = time.monotonic()
        for (session, pending, frame, _), decision in zip(taken, decisions, strict=True):
            results.append(
                CompletedObservation(session, pending, frame, decision, begun, ended, len(taken))
            )
        return results

    def close(self) -> None:
        """Let the worker go."""
        self._worker.shutdown(wait=False, cancel_futures=True)

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

from bridges.policy import Decision, Player, Policy, Request
from bridges.protocol.frames import FrameError, Picture
from games import Frame

log = logging.getLogger("iafm.bridge")
_T = TypeVar("_T")


@dataclass
class Pending:
    """An observation that waits for its answer."""

    picture: Picture
    arrived: float


@dataclass
class Session:
    """One attached player as the batcher sees it."""

    name: str
    player: Player
    lockstep: bool
    instruction: str
    waiting: deque[Pending] = field(default_factory=deque)
    dropped: int = 0

    def offer(self, picture: Picture) -> None:
        """Take in an observation; in realtime it replaces the one still waiting."""
        if self.waiting and not self.lockstep:
            self.waiting.clear()
            self.dropped += 1
        self.waiting.append(Pending(picture, time.monotonic()))


@dataclass(frozen=True)
class Answered:
    """A decision with the times around it, in seconds of the monotonic clock."""

    session: Session
    pending: Pending
    frame: Frame
    decision: Decision
    begun: float
    ended: float
    batch: int


class Batcher:
    """Runs `policy` over all sessions; `on_answer` and `on_error` are called in the event loop."""

    def __init__(
        self,
        policy: Policy,
        on_answer: Callable[[Answered], None],
        on_error: Callable[[Session, Exception], None],
    ) -> None:
        self.policy = policy
        self.sessions: dict[str, Session] = {}
        self._on_answer, self._on_error = on_answer, on_error
        self._wake = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="policy")

    def wake(self) -> None:
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
                for answer in await self.call(lambda b=batch: self._think(b)):  # type: ignore[misc]
                    if isinstance(answer, Answered):
                        self._on_answer(answer)
                    else:
                        self._on_error(*answer)

    def _think(self, batch: list[Session]) -> list[Answered | tuple[Session, Exception]]:
        """Decode and decide for all sessions; a failure of one leaves the others be."""
        taken: list[tuple[Session, Pending, Frame, Request]] = []
        results: list[Answered | tuple[Session, Exception]] = []
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
            results.append(Answered(session, pending, frame, decision, begun, ended, len(taken)))
        return results

    def close(self) -> None:
        """Let the worker go."""
        self._worker.shutdown(wait=False, cancel_futures=True)

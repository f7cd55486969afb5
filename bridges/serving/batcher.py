"""Batcher: one batch over all sessions that have a new observation, again and again.

A realtime session keeps only its newest observation; what a newer one replaces is counted as dropped, so no answer is
about an old picture. The policy runs in one worker thread; the event loop never computes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from bridges.policy import Decision, Policy, PolicyRequest, PolicySession
from bridges.protocol.frames import EncodedFrame, FrameError
from bridges.protocol.messages import Latency
from games import Frame

log = logging.getLogger("iafm.bridge")
_T = TypeVar("_T")


@dataclass(frozen=True)
class QueuedObservation:
    """An observation that waits for its answer; `received` in seconds of the monotonic clock."""

    encoded: EncodedFrame
    received: float


@dataclass
class GameSession:
    """One attached game as the batcher sees it."""

    name: str
    player: PolicySession
    lockstep: bool
    instruction: str
    queue: deque[QueuedObservation] = field(default_factory=deque)
    dropped: int = 0

    def enqueue(self, encoded: EncodedFrame) -> None:
        """Add an observation; in realtime it replaces the one still waiting."""
        if self.queue and not self.lockstep:
            self.queue.clear()
            self.dropped += 1
        self.queue.append(QueuedObservation(encoded, time.monotonic()))


@dataclass(frozen=True)
class CompletedObservation:
    """An answered observation: the decision and the times of its pass, in seconds of the monotonic clock."""

    session: GameSession
    observation: QueuedObservation
    frame: Frame
    decision: Decision
    started: float
    finished: float
    batch: int

    def latency(self, now: float) -> Latency:
        """Where the time went, for an answer that is sent at `now`."""
        received = self.observation.received
        return Latency(
            queue_ms=round(1000 * (self.started - received), 3),
            infer_ms=round(1000 * (self.finished - self.started), 3),
            age_ms=round(1000 * (now - received), 3),
            batch=self.batch,
        )


Failure = tuple[GameSession, Exception]


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
        """Start a pass: an observation was queued."""
        self._wake.set()

    async def call(self, function: Callable[[], _T]) -> _T:
        """Run something else (attach, ask) in the policy's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := [s for s in self.sessions.values() if s.queue]:
                for result in await self.call(lambda b=batch: self._run_batch(b)):  # type: ignore[misc]
                    if isinstance(result, CompletedObservation):
                        self._on_answer(result)
                    else:
                        self._on_error(*result)

    def _run_batch(self, batch: Sequence[GameSession]) -> list[CompletedObservation | Failure]:
        """Decode and decide for all sessions; a damaged picture fails its own session only."""
        started = time.monotonic()
        observations, requests, failures = _take(batch)
        try:
            decisions = self.policy.act(requests) if requests else []
        except Exception as error:  # one broken pass must not end the server
            log.exception("the policy failed on a batch of %d", len(requests))
            return [*failures, *((session, error) for session, _ in observations)]
        finished = time.monotonic()
        completed = [
            CompletedObservation(
                session, observation, request.frame, decision, started, finished, len(requests)
            )
            for (session, observation), request, decision in zip(
                observations, requests, decisions, strict=True
            )
        ]
        return [*failures, *completed]

    def close(self) -> None:
        """End the worker thread."""
        self._worker.shutdown(wait=False, cancel_futures=True)


def _take(
    batch: Sequence[GameSession],
) -> tuple[list[tuple[GameSession, QueuedObservation]], list[PolicyRequest], list[Failure]]:
    """The oldest queued observation of every session, its request, and what could not be decoded."""
    observations: list[tuple[GameSession, QueuedObservation]] = []
    requests: list[PolicyRequest] = []
    failures: list[Failure] = []
    for session in batch:
        if not session.queue:
            continue
        observation = session.queue.popleft()
        try:
            frame = observation.encoded.decode()
        except FrameError as error:
            failures.append((session, error))
            continue
        observations.append((session, observation))
        requests.append(PolicyRequest(session.player, frame, session.instruction))
    return observations, requests, failures

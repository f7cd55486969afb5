"""Batcher: one batch over all sessions that have a new observation, again and again.

The policy runs in one worker thread; the event loop never computes. An observation is taken when the worker is free, so
a realtime session's is the newest. A batch that fails is answered again in halves, and a session on which the policy
failed has passes of its own for a while, so that a failure reaches nobody else. These, new sessions and questions go
between two passes, one at a time, and get a small share of the time while games are answered (`time_share`). Nothing
that policy or receivers raise ends the loop: it is logged and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bridges.errors import PolicyError
from bridges.policy import Decision, Policy, PolicyRequest, PolicySession
from bridges.protocol.frames import FrameError
from bridges.serving.decoder import Decoder
from bridges.serving.outcomes import CompletedObservation, FailedObservation, Outcome
from bridges.serving.process import start_worker
from bridges.serving.queued_observation import QueuedObservation
from bridges.serving.sessions import Session, SessionRegistry, Work
from bridges.serving.time_share import Extra, PolicyShares

log = logging.getLogger("iafm.bridge")
MAX_CALLS = 256
"""Most new sessions, and most questions, that wait."""
ERROR_PAUSE_S = 0.05
"""Pause of the loop after a fault of its own, so that one that stays does not take the processor."""
_T = TypeVar("_T")


class BusyError(RuntimeError):
    """Too much other work waits for the policy."""


class WorkerFault(RuntimeError):
    """What the policy raised was no `Exception`; it must not end the loop."""


@dataclass(frozen=True)
class BatcherHealth:
    """State of the loop; `last_pass_s` are the seconds since the last pass, None before the first."""

    status: str
    last_pass_s: float | None
    waiting: int
    errors: int


@dataclass(frozen=True)
class _Call:
    """Other work for the policy's thread."""

    function: Callable[[], Any]
    result: asyncio.Future[Any]
    session: Session | None
    is_wanted: Callable[[], bool]


class Batcher:
    """Runs `policy` over the sessions; `on_answer` and `on_failure` are called in the event loop."""

    def __init__(
        self,
        policy: Policy,
        sessions: SessionRegistry,
        on_answer: Callable[[CompletedObservation], None],
        on_failure: Callable[[FailedObservation], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy, self._sessions, self._clock = policy, sessions, clock
        self._on_answer, self._on_failure = on_answer, on_failure
        self._attaches: deque[_Call] = deque()
        self._questions: deque[_Call] = deque()
        self._wake = asyncio.Event()
        self._worker = start_worker("policy")
        self._decoder = Decoder(sessions, self._decoded, self._undecodable)
        self._shares = PolicyShares()
        self._task: asyncio.Task[None] | None = None
        self._in_pass = 0
        self._last_pass: float | None = None
        self._waiting_since: float | None = None
        """When something began to wait, or when the loop last did something while something waited."""
        self.errors = 0

    # --- start and stop ---

    def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The loop is over: say so, unless it was stopped."""
        if not task.cancelled():
            self.errors += 1
            log.critical("the batch loop has ended: no game is answered", exc_info=task.exception())
        for call in [*self._attaches, *self._questions]:
            call.result.cancel()

    def close(self) -> None:
        """End the loop and the worker thread."""
        if self._task is not None:
            self._task.cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._decoder.close()

    # --- work ---

    def notify(self) -> None:
        """Start a pass: an observation was queued."""
        self._decoder.notify()
        self._wake.set()
        if self._waiting_since is None:
            self._waiting_since = self._clock()

    def _decoded(self) -> None:
        self._waiting_since = self._clock()
        self._wake.set()

    def _undecodable(
        self, session: Session, observation: QueuedObservation, error: Exception
    ) -> None:
        self._deliver(FailedObservation(Work(session, observation, is_first=False), error))

    async def call(
        self,
        function: Callable[[], _T],
        session: Session | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> _T | None:
        """Run something else (attach, ask) in the policy's thread, about a session or none.

        None where it is not wanted any more when its turn comes. Raises what it raises, and `BusyError`.
        """
        if self._task is None or self._task.done():
            raise WorkerFault("the batch loop has ended")
        calls = self._attaches if session is None else self._questions
        if len(calls) >= MAX_CALLS:
            raise BusyError("too many others wait for the player: try again in a moment")
        result: asyncio.Future[_T | None] = asyncio.get_running_loop().create_future()
        calls.append(_Call(function, result, session, is_wanted))
        self.notify()
        return await result

    def release(self, player: PolicySession) -> None:
        """Close a session's state at the policy, without waiting."""
        try:
            self._worker.submit(self._close, player)
            self._decoder.trim_later()
        except RuntimeError:  # the worker has ended at shutdown
            log.debug("a session was not closed: the worker has ended")

    def _close(self, player: PolicySession) -> None:
        try:
            player.close()
        except Exception:
            self.errors += 1
            log.exception("the policy failed to close a session")

    async def _run(self) -> None:
        """Answer until cancelled."""
        while True:
            try:
                await self._wait_for_work()
                while await self._step():
                    self._waiting_since = self._clock()
                if not (self._sessions.waiting or self._attaches or self._questions):
                    self._waiting_since = None
            except Exception:
                self.errors += 1
                log.exception("the batch loop failed and goes on")
                await asyncio.sleep(ERROR_PAUSE_S)
                self._wake.set()

    async def _step(self) -> bool:
        """A pass over what waits, then one piece of other work; False where nothing may be done now."""
        batch = self._sessions.take_batch(self._clock())
        self._decoder.notify()  # in lockstep the next of each game
        if batch:
            await self._answer_group(batch)
            self._shares.last_pass = self._last_pass
        has_attached = await self._attach()
        return await self._do_extra() or has_attached or bool(batch)

    async def _attach(self) -> bool:
        """A new session; False where there may be none now."""
        started = self._clock()
        if not self._attaches or not self._shares.may_attach(started):
            return False
        await self._serve_call(self._attaches.popleft())
        self._shares.attaches.spent(started, self._clock())
        return True

    async def _do_extra(self) -> bool:
        """A question, or a pass of a session on which the policy failed; False where none may be now."""
        waiting: list[Extra] = ["suspects"] if self._sessions.suspect_waits else []
        waiting += ["questions"] if self._questions else []
        started, games_wait = self._clock(), self._sessions.sound_waits
        match extra := self._shares.next_extra(waiting, started, games_wait=games_wait):
            case None:
                return False
            case "suspects":
                await self._answer_group(self._sessions.take_suspect())
            case "questions":
                await self._serve_call(self._questions.popleft())
        self._shares.spent(extra, started, self._clock())
        return True

    async def _wait_for_work(self) -> None:
        """Until something comes, or the rest is over of what may not be done yet."""
        now = self._clock()
        extra_waits = self._questions or self._sessions.suspect_waits
        rests = [self._shares.wait_s(now)] if extra_waits else []
        rests += [self._shares.attaches.wait_s(now)] if self._attaches else []
        rests += self._sessions.gathering_s(now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(rests, default=None)):
                await self._wake.wait()
        self._wake.clear()

    async def _serve_call(self, call: _Call) -> None:
        """Do other work in the policy's thread, where it is wanted."""
        if call.result.done():
            return
        if not call.is_wanted():
            call.result.set_result(None)
            return
        is_first = call.session is not None and call.session.take_reset()
        try:
            value = await self._in_worker(lambda: _run_call(call, is_first))
        except Exception as error:
            if not call.result.done():
                call.result.set_exception(error)
        except BaseException:
            call.result.cancel()
            raise
        else:
            if not call.result.done():
                call.result.set_result(value)

    async def _answer_group(self, group: Sequence[Work]) -> None:
        """A pass."""
        self._in_pass = len(group)
        try:
            await self._answer(group)
        finally:
            self._in_pass = 0
        self._last_pass = self._clock()

    async def _answer(self, group: Sequence[Work]) -> None:
        """Deliver the outcomes of a group; one that fails as a whole is tried again in halves."""
        outcomes: list[Outcome] | None
        try:
            outcomes = await self._in_worker(lambda: self._decide(group))
        except Exception as error:
            log.exception("a pass failed")
            outcomes = [FailedObservation(group[0], error)] if len(group) == 1 else None
        if outcomes is None:
            self.errors += 1
            middle = len(group) // 2
            await self._answer(group[:middle])
            await self._answer(group[middle:])
            return
        for outcome in outcomes:
            self._deliver(outcome)

    async def _in_worker(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(
            self._worker, lambda: _contained(function)
        )

    def _deliver(self, outcome: Outcome) -> None:
        """Hand an outcome on; an answer that cannot be sent is a failure of its session."""
        if isinstance(outcome, CompletedObservation):
            try:
                self._on_answer(outcome)
                return
            except Exception as error:
                log.exception("an answer could not be sent")
                outcome = FailedObservation(
                    Work(outcome.session, outcome.observation, False), error
                )
        self.errors += 1
        outcome.work.session.failed(by_policy=not isinstance(outcome.error, FrameError))
        outcome.work.session.reset_due |= outcome.work.is_first
        try:
            self._on_failure(outcome)
        except Exception:
            self.errors += 1
            log.exception("an error could not be sent")

    def _decide(self, group: Sequence[Work]) -> list[Outcome] | None:
        """Decode and decide for a group, in the worker; None where several failed together."""
        started = self._clock()
        outcomes: list[Outcome] = []
        requests: list[tuple[Work, PolicyRequest]] = []
        for work in group:
            try:
                requests.append((work, _request(work)))
            except Exception as error:
                outcomes.append(FailedObservation(work, error))
        try:
            decisions = _act(self._policy, [request for _, request in requests])
        except Exception as error:
            reason = error if isinstance(error, PolicyError) else type(error).__name__
            trace = None if isinstance(error, PolicyError) else error
            log.error("the policy failed on %d: %s", len(requests), reason, exc_info=trace)
            if len(requests) > 1:
                return None
            return [*outcomes, FailedObservation(requests[0][0], error)]
        finished = self._clock()
        outcomes += [
            CompletedObservation(
                work.session, work.observation, request.frame, decision, started, finished, len(requests)
            )
            for (work, request), decision in zip(requests, decisions, strict=True)
        ]  # fmt: skip
        return outcomes

    # --- health ---

    def health(self, now: float, stuck_s: float) -> BatcherHealth:
        """Whether the loop answers: `ok`, `stuck` (nothing done for `stuck_s` while something waits) or `dead`."""
        since = self._waiting_since
        if self._task is None or self._task.done():
            status = "dead"
        else:
            status = "stuck" if since is not None and now - since > stuck_s else "ok"
        last_pass_s = None if self._last_pass is None else round(now - self._last_pass, 3)
        return BatcherHealth(
            status, last_pass_s, self._sessions.waiting + self._in_pass, self.errors
        )


def _request(work: Work) -> PolicyRequest:
    """What the policy gets; raises `FrameError` where the picture is damaged."""
    if work.is_first:
        work.session.player.reset()
    return work.observation.request(work.session.player, is_first=work.is_first)


def _act(policy: Policy, requests: list[PolicyRequest]) -> list[Decision]:
    """One decision per request; raises what the policy raises, or `ValueError` for another number of decisions."""
    decisions = policy.act(requests) if requests else []
    if len(decisions) != len(requests):
        raise ValueError(f"{len(decisions)} decisions for {len(requests)} observations")
    return decisions


def _run_call(call: _Call, is_first: bool) -> Any:
    if is_first and call.session is not None:
        call.session.player.reset()
    return call.function()


def _contained(function: Callable[[], _T]) -> _T:
    """Run in the worker; an exit, a cancellation or a `StopIteration`, which no future carries, is a `WorkerFault`."""
    try:
        return function()
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        raise WorkerFault(f"the policy raised {type(error).__name__}") from error

"""Decoder: pictures of all sessions become pixels, beside the policy's passes and in fair turns.

A 2-megapixel PNG takes 50 ms. In the policy's thread, everybody would wait for the pictures of everybody. Here whoever
has used the decoder least comes next, so that a session with large pictures delays itself only. What runs cannot be
interrupted: large pictures have a thread of their own, and a small one never waits for a large one.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from bridges.protocol.frames import EncodedFrame
from bridges.serving.process import gather_free_iterators, start_worker, trim
from bridges.serving.queued_observation import Pixels, QueuedObservation, decode
from bridges.serving.sessions import Session, SessionRegistry

SMALL_PIXELS = 512 * 512
"""Pictures up to this size, which take a few milliseconds, do not wait for larger ones."""

TRIM_S = 5.0
"""Time after a session has left, until memory goes back to the system, and once more for what is freed later."""


class DecodeTurns:
    """Whose picture is next, of small or of large ones: start-time fair queueing by the time that decoding took."""

    def __init__(self, *, large: bool) -> None:
        self._large = large
        self._virtual_s = 0.0
        """What the session of the newest turn had used before it."""

    def take(self, sessions: Iterable[Session]) -> tuple[Session, QueuedObservation] | None:
        """The next picture, marked as being decoded; None where none waits."""
        waiting = [
            (session, observation)
            for session in sessions
            if (observation := session.next_to_decode()) is not None
            and (observation.encoded.pixels > SMALL_PIXELS) is self._large
        ]
        if not waiting:
            return None
        session, observation = min(waiting, key=lambda pair: self._used_s(pair[0]))
        self._virtual_s = self._used_s(session)
        observation.is_decoding = True
        return session, observation

    def spent(self, session: Session, seconds: float) -> None:
        """A turn of this session is over. Who waits idle saves nothing up."""
        session.decode_s = self._used_s(session) + seconds

    def _used_s(self, session: Session) -> float:
        return max(session.decode_s, self._virtual_s)


class Decoder:
    """Decodes what waits in `sessions`; `on_ready` and `on_failure` are called in the event loop."""

    def __init__(
        self,
        sessions: SessionRegistry,
        on_ready: Callable[[], None],
        on_failure: Callable[[Session, QueuedObservation, Exception], None],
    ) -> None:
        self._sessions, self._on_ready, self._on_failure = sessions, on_ready, on_failure
        self._trims_due = 0
        self._is_closed = False
        self._lanes = [
            _Lane(DecodeTurns(large=large), start_worker("decoder")) for large in (False, True)
        ]
        self._lanes[0].worker.submit(_load_codecs)

    def notify(self) -> None:
        """A picture came, or one that others wait behind is gone."""
        for lane in [] if self._is_closed else self._lanes:
            self._start(lane)

    def trim_later(self) -> None:
        """A session has left: return its memory in some seconds, with that of others who leave meanwhile."""
        is_scheduled, self._trims_due = self._trims_due > 0, 2
        if not is_scheduled:
            asyncio.get_running_loop().call_later(TRIM_S, self._trim)

    def _trim(self) -> None:
        self._trims_due -= 1
        if self._is_closed:
            return
        loop = asyncio.get_running_loop()
        gather_free_iterators(loop)
        self._lanes[0].worker.submit(trim)
        if self._trims_due:
            loop.call_later(TRIM_S, self._trim)

    def close(self) -> None:
        """End the threads."""
        self._is_closed = True
        for lane in self._lanes:
            lane.is_busy = True
            lane.worker.shutdown(wait=False, cancel_futures=True)

    def _start(self, lane: _Lane) -> None:
        """Decode the next picture, unless one is being decoded."""
        if lane.is_busy or (turn := lane.turns.take(self._sessions)) is None:
            return
        lane.is_busy = True
        done = functools.partial(self._done, lane, *turn, time.monotonic())
        decoding = asyncio.get_running_loop().run_in_executor(lane.worker, _decode, turn[1].encoded)
        decoding.add_done_callback(done)

    def _done(
        self,
        lane: _Lane,
        session: Session,
        observation: QueuedObservation,
        started: float,
        decoding: asyncio.Future[Pixels | Exception],
    ) -> None:
        if decoding.cancelled():
            return
        lane.is_busy = False
        lane.turns.spent(session, time.monotonic() - started)
        result = decoding.result()
        try:
            if isinstance(result, Exception):
                if session.discard(observation):
                    self._on_failure(session, observation, result)
            elif session.decoded(observation, *result):
                self._on_ready()
        finally:
            self.notify()


class _Lane:
    def __init__(self, turns: DecodeTurns, worker: ThreadPoolExecutor) -> None:
        self.turns, self.worker = turns, worker
        self.is_busy = False


def _load_codecs() -> None:
    """Read the libraries' code into memory, which no game's first picture then waits for."""
    for kind in (".png", ".jpg"):
        _, data = cv2.imencode(kind, np.zeros((16, 16, 3), np.uint8))
        cv2.imdecode(data, cv2.IMREAD_COLOR)


def _decode(encoded: EncodedFrame) -> Pixels | Exception:
    """The pixels, or why there are none; nothing that a decoder raises ends the thread."""
    try:
        return decode(encoded)
    except Exception as error:
        return error
    except BaseException as error:
        return RuntimeError(f"decoding raised {type(error).__name__}")

"""Listener threads: sessions are told to listeners without waiting for them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from operator import methodcaller
from typing import Any

from bridges.listener import Attached, Listener, Observation, Recorded, TextKind, TextSource
from bridges.policy import Decision
from bridges.protocol.fields import Owner
from bridges.protocol.messages import Event
from bridges.protocol.record_messages import Recording

log = logging.getLogger("iafm.bridge")
MAX_BYTES = 256 << 20
"""Bytes of pictures that may wait for a listener; beyond, it hears of an observation without its picture.

Those of recordings always come and do not count: credit bounds them.
"""
MAX_CALLS = 100_000
"""Calls that may wait for a listener; one that is further behind is dropped."""
CLOSE_TIMEOUT_S = 120.0
"""Seconds that the end of a server waits for a listener to hear all that waits."""
FAILED = "a listener failed and hears nothing more"


class ListenerThread:
    """One listener with the calls that wait for it."""

    def __init__(
        self,
        listener: Listener,
        max_bytes: int = MAX_BYTES,
        max_calls: int = MAX_CALLS,
        on_progress: Callable[[], object] = lambda: None,
    ) -> None:
        self._listener, self._on_progress = listener, on_progress
        self._max_bytes, self._max_calls = max_bytes, max_calls
        self._calls: deque[tuple[Callable[[Any], object], int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ends = False
        self._is_active = True
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to call it."""
        self._thread.start()

    def put(self, call: Callable[[Any], object]) -> None:
        """Have the listener called, after all before."""
        self._put(call, 0)

    @property
    def records(self) -> bool:
        """As `Listener.records`, until it fails."""
        return self._is_active and self._listener.records

    def observe(self, session: str, observation: Observation, *, keep: bool = False) -> None:
        """Tell of an observation; without its picture where too many bytes wait, unless it is to be kept."""
        size = len(observation.picture.payload) if observation.picture and not keep else 0
        if self._bytes + size > self._max_bytes:
            observation, size = replace(observation, picture=None), 0
        self._put(methodcaller("on_observation", session, observation), size)

    def recorded(self, session: str) -> Recorded | None:
        """As `Listener.recorded`."""
        try:
            return self._listener.recorded(session) if self._is_active else None
        except Exception:
            self._drop(FAILED)
            return None

    def close(self) -> None:
        """Wait until it has heard everything."""
        with self._changed:
            self._ends = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            log.error("a listener has not ended after %g s", CLOSE_TIMEOUT_S)

    def _put(self, call: Callable[[Any], object], size: int) -> None:
        with self._changed:
            if not self._is_active:
                return
            if len(self._calls) < self._max_calls:
                self._calls.append((call, size))
                self._bytes += size
                self._changed.notify()
                return
        self._drop(f"a listener is {self._max_calls} calls behind and hears nothing more")

    def _run(self) -> None:
        try:
            while call := self._next():
                call(self._listener)
                self._on_progress()
        except Exception:
            self._drop(FAILED)
        try:
            self._listener.close()
        except Exception:
            log.exception("a listener could not be closed")

    def _next(self) -> Callable[[Any], object] | None:
        """The next call; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._ends or not self._is_active)
            if not self._calls:
                return None
            call, size = self._calls.popleft()
            self._bytes -= size
            return call

    def _drop(self, reason: str) -> None:
        log.error(reason, exc_info=True)
        with self._changed:
            self._is_active = False
            self._calls.clear()
            self._bytes = 0
            self._changed.notify()


class Listeners:
    """All listeners of a server; every method returns at once, but for `close`."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._threads: Sequence[ListenerThread] = [
            ListenerThread(each, on_progress=self._progressed) for each in listeners
        ]
        self.on_progress: Callable[[], object] = lambda: None
        """Called in a listener's thread whenever it has heard something."""

    def start(self) -> None:
        """Begin to call them."""
        for thread in self._threads:
            thread.start()

    def on_attach(self, session: str, attached: Attached) -> None:
        self._tell("on_attach", session, attached)

    def _progressed(self) -> None:
        self.on_progress()

    @property
    def records(self) -> bool:
        """Whether one of them records."""
        return any(thread.records for thread in self._threads)

    def on_observation(self, session: str, observation: Observation, *, keep: bool = False) -> None:
        for thread in self._threads:
            thread.observe(session, observation, keep=keep and thread.records)

    def on_decision(self, session: str, index: int, decision: Decision | None) -> None:
        self._tell("on_decision", session, index, decision)

    def on_control(self, session: str, owner: Owner) -> None:
        self._tell("on_control", session, owner)

    def on_text(self, session: str, kind: TextKind, text: str, source: TextSource) -> None:
        self._tell("on_text", session, kind, text, source)

    def on_event(self, session: str, event: Event) -> None:
        self._tell("on_event", session, event)

    def on_lost(self, session: str) -> None:
        self._tell("on_lost", session)

    def on_leave(self, session: str) -> None:
        self._tell("on_leave", session)

    def recorded(self, session: str) -> Recorded | None:
        """What the first listener that records has recorded of a session."""
        recorded = (thread.recorded(session) for thread in self._threads)
        return next((done for done in recorded if done is not None), None)

    def recording(self, session: str) -> Recording | None:
        """As `recorded`, for consoles."""
        if (done := self.recorded(session)) is None:
            return None
        return Recording(episodes=done.episodes, steps=done.steps, dropped=done.dropped)

    def close(self) -> None:
        """Wait until all have heard everything."""
        for thread in self._threads:
            thread.close()

    def _tell(self, name: str, *values: Any) -> None:
        for thread in self._threads:
            thread.put(methodcaller(name, *values))

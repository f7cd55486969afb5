"""Graceful stop: Ctrl-C and SIGTERM end a run after the step under way.

The first signal only sets a flag, which the training loop reads between steps and validation between batches, so that
weights, moments and the step count fit together when they are saved. The second one raises `KeyboardInterrupt` at once.
"""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType

logger = logging.getLogger("iafm.train")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A context in which the signals are handled; outside the main thread it handles none."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        """The first one received."""
        self._previous: dict[int, signal._HANDLER] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        logger.warning("%s: finishing this step, then saving; again: stop now", self.signal.name)

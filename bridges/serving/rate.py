"""Rate: how often something happens, over the newest times."""

from __future__ import annotations

from collections import deque

WINDOW = 100
"""Times over which it is measured."""
MAX_AGE_S = 2.0
"""Without a newer time for so long, the rate is 0."""


class Rate:
    """Times in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=WINDOW)

    def count(self, now: float) -> None:
        self._times.append(now)

    def hz(self, now: float) -> float:
        """Per second; 0 after two seconds without one."""
        times = self._times
        if len(times) < 2 or now - times[-1] > MAX_AGE_S:
            return 0.0
        return (len(times) - 1) / max(times[-1] - times[0], 1e-6)

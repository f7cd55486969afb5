"""Time share: work that may take no more than a part of the time, without a clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

IDLE_SHARE = 0.1
"""Most of the policy's time for what is no pass of sound sessions, while these are answered and none of them waits."""
BUSY_SHARE = 0.02
"""The same while one of them waits."""
PLAYING_S = 0.5
"""Time since the last pass for which games count as being answered."""
Extra = Literal["suspects", "calls"]
"""Sessions on which the policy failed, and other work of the policy (attach, ask)."""


class TimeShare:
    """After `d` seconds of its work it rests until they are `share` of the time; times in seconds."""

    def __init__(self, share: float) -> None:
        self._rest = 1 / share - 1
        self._free_at = float("-inf")

    def wait_s(self, now: float) -> float:
        """Time until it may work again; 0 where it may."""
        return max(0.0, self._free_at - now)

    def spent(self, started: float, finished: float) -> None:
        """It worked from `started` to `finished`."""
        self._free_at = finished + (finished - started) * self._rest


class PolicyShares:
    """What the policy does beside its passes for sound sessions, of which `last_pass` was the last.

    Both kinds have one share and take turns. A game makes up for one piece of such work that it waited for, but hardly
    for two in a row.
    """

    def __init__(self) -> None:
        self.last_pass: float | None = None
        self._idle, self._busy = TimeShare(IDLE_SHARE), TimeShare(BUSY_SHARE)
        self._newest: Extra | None = None

    def next_extra(self, waiting: Sequence[Extra], now: float, *, games_wait: bool) -> Extra | None:
        """What of it may be done now; it only rests while games are being answered."""
        is_playing = self.last_pass is not None and now - self.last_pass < PLAYING_S
        share = self._busy if games_wait else self._idle
        if is_playing and share.wait_s(now):
            return None
        others = [extra for extra in waiting if extra != self._newest]
        return next(iter([*others, *waiting]), None)

    def wait_s(self, now: float) -> float:
        """Time until some of it may be done where no game waits."""
        return self._idle.wait_s(now)

    def spent(self, extra: Extra, started: float, finished: float) -> None:
        """Such work is done."""
        self._newest = extra
        self._idle.spent(started, finished)
        self._busy.spent(started, finished)

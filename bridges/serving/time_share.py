"""Time share: work that may take no more than a part of the time, without a clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

ATTACH_SHARE = 0.1
"""Most of the policy's time for new sessions, while others are answered; one takes milliseconds."""
IDLE_SHARE = 0.1
"""Most of it for questions and for sessions on which it failed, while others are answered and none of them waits."""
BUSY_SHARE = 0.02
"""The same while one of them waits."""
PLAYING_S = 0.5
"""Time since the last pass for which games count as being answered."""
Extra = Literal["suspects", "questions"]
"""What takes the policy as long as a pass: sessions on which it failed, and questions."""


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

    Both kinds of extras have one share and take turns: a game makes up for one that it waited for, but hardly for two
    in a row. New sessions wait for neither.
    """

    def __init__(self) -> None:
        self.last_pass: float | None = None
        self.attaches = TimeShare(ATTACH_SHARE)
        self._idle, self._busy = TimeShare(IDLE_SHARE), TimeShare(BUSY_SHARE)
        self._newest: Extra | None = None

    def may_attach(self, now: float) -> bool:
        """Whether a new session may begin now."""
        return not self._is_playing(now) or not self.attaches.wait_s(now)

    def _is_playing(self, now: float) -> bool:
        return self.last_pass is not None and now - self.last_pass < PLAYING_S

    def next_extra(self, waiting: Sequence[Extra], now: float, *, games_wait: bool) -> Extra | None:
        """What of it may be done now; it only rests while games are being answered."""
        share = self._busy if games_wait else self._idle
        if self._is_playing(now) and share.wait_s(now):
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

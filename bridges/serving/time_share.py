"""Time share: work that may take no more than a part of the time, without a clock of its own."""

from __future__ import annotations

CALL_SHARE = 0.1
"""Most of the policy's time for other work than passes, while games are answered."""
SUSPECT_SHARE = 0.03
"""Most of it for sessions on which it failed, while others are answered."""
PLAYING_S = 0.5
"""Time since the last pass for which games count as being answered."""


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
    """What the policy does beside its passes for sound sessions, of which `last_pass` was the last."""

    def __init__(self) -> None:
        self.suspects, self.calls = TimeShare(SUSPECT_SHARE), TimeShare(CALL_SHARE)
        self.last_pass: float | None = None

    def may_start(self, share: TimeShare, now: float) -> bool:
        """Whether work of this share may be done now: it only rests while games are being answered."""
        is_playing = self.last_pass is not None and now - self.last_pass < PLAYING_S
        return not is_playing or not share.wait_s(now)

"""Backoff: when a client tries again to connect, without a clock."""

from __future__ import annotations

from dataclasses import dataclass

from bridges.errors import BridgeError, DisconnectedError

SHORT_S = 5.0
"""A connection that the server ended sooner does not begin the backoff anew."""
FINAL_CLOSES = {1000, 1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4409, 4413, 4415, 4426}
"""Close codes after which another try would end in the same way, or would take the session from its new owner."""


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with full jitter: try n (0, 1, …) waits up to `first_s * 2**n`, at most `cap_s`.

    After `patience_s` without a connection the client gives up; 0 never tries again.
    """

    first_s: float = 0.1
    cap_s: float = 5.0
    patience_s: float = 60.0

    def delay_s(self, attempt: int, jitter: float) -> float:
        """Seconds before a try; `jitter` of 0 to 1."""
        return jitter * min(self.cap_s, self.first_s * 2.0 ** min(attempt, 30))

    def is_over(self, waited_s: float) -> bool:
        """Whether a client that has waited so long gives up."""
        return waited_s >= self.patience_s


def is_final(code: int | None, *, welcomed: bool) -> bool:
    """Whether a close is no reason to try again; 4429 is one before the welcome: the server was full."""
    return code in FINAL_CLOSES or (code == 4429 and welcomed)


class Retries:
    """The tries of one client to connect again; times are seconds of its clock."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._attempts = 0
        self._opened_at = self._lost_at = 0.0

    def opened(self, now: float) -> None:
        """There is a connection."""
        self._opened_at = now

    def lost(self, reason: DisconnectedError, now: float) -> None:
        """It is lost; raises the reason where another try does not help."""
        if is_final(reason.code, welcomed=True) or self._backoff.is_over(0):
            raise reason
        self._lost_at = now
        if reason.code is None or now - self._opened_at > SHORT_S:
            self._attempts = 0

    def next_delay_s(self, jitter: float) -> float:
        """Seconds before the next try."""
        self._attempts += 1
        return self._backoff.delay_s(self._attempts - 1, jitter)

    def failed(self, reason: DisconnectedError, now: float) -> None:
        """A try failed; raises why there is no other."""
        if is_final(reason.code, welcomed=False):
            raise reason
        if self._backoff.is_over(self.waited_s(now)):
            patience = f"no connection for {self._backoff.patience_s:g} s"
            raise BridgeError(f"{patience}: {reason}")

    def waited_s(self, now: float) -> float:
        """Seconds since the connection was lost."""
        return now - self._lost_at

"""Lanes: how many messages and bytes of a kind a connection may send per second."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Rates of one lane; what was not used for `burst_s` seconds may be spent at once."""

    messages_per_s: float
    bytes_per_s: float
    burst_s: float = 2.0


class TokenBucket:
    """A bucket that fills with `rate` tokens a second up to `rate * burst_s`, and may be overdrawn by as much."""

    def __init__(self, rate: float, burst_s: float, now: float) -> None:
        self._rate, self._capacity = rate, rate * burst_s
        self._tokens, self._at = self._capacity, now

    def spend(self, tokens: float, now: float) -> float:
        """Take tokens at `now` (seconds); returns what is left as a share of the capacity, at least -1."""
        filled = self._tokens + self._rate * max(0.0, now - self._at)
        self._tokens = max(min(filled, self._capacity) - tokens, -self._capacity)
        self._at = max(now, self._at)
        return self._tokens / self._capacity


class Lane:
    """The budget of one kind of message on one connection."""

    def __init__(self, name: str, budget: Budget, now: float) -> None:
        self.name, self.budget = name, budget
        self.warned = False
        """Whether the peer knows that it sent too much."""
        self._messages = TokenBucket(budget.messages_per_s, budget.burst_s, now)
        self._bytes = TokenBucket(budget.bytes_per_s, budget.burst_s, now)

    def spend(self, size: int, now: float) -> float:
        """Count a message of `size` bytes; returns what is left: 1 all, 0 nothing, -1 overdrawn to the end."""
        left = min(self._messages.spend(1, now), self._bytes.spend(size, now))
        self.warned = self.warned and left < 0.5
        return left

    def left(self, now: float) -> float:
        """What is left, as `spend` returns it, without a message."""
        return min(self._messages.spend(0, now), self._bytes.spend(0, now))

    def __str__(self) -> str:
        mib = self.budget.bytes_per_s / (1 << 20)
        return f"{self.budget.messages_per_s:g} {self.name} and {mib:g} MiB of them a second"

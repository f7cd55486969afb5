"""Pace: when the next step is due, and whether there is time to draw before it."""

from __future__ import annotations

from collections import deque

INPUT_SECONDS, REST_SECONDS = 1 / 30, 0.1
"""Time between two drawings of the same step, where keys came in and where nothing did."""
STARVED_SECONDS = 0.25
"""Time without a drawing after which one is made, whatever it delays: the steps behind it catch up."""
LAG_SECONDS = 0.5
"""Delay beyond which the lost time is given up instead of being caught up with in a rush."""
MAX_DETAIL = 3
"""How much finer than its frames a game is drawn that can be."""
COARSE_SECONDS = 10.0
"""Time after which a finer picture is tried again, twice as long each time that it was too slow."""
SLOW = 0.95
"""Share of the game's rate below which it counts as slow."""


class Pace:
    """Deadlines of steps at `hz`, in seconds of any clock: steps go before drawings."""

    def __init__(self, hz: float) -> None:
        self.hz = hz
        self.steps = 0
        """Steps so far."""
        self.seconds = 0.0
        """Time so far in which the game ran."""
        self.drawings = 0
        """Drawings while it ran."""
        self._due: float | None = None
        self._last_step = self._last_drawn = 0.0
        self._cost = 0.0
        self._stepped = False
        self._times: deque[float] = deque(maxlen=round(2 * hz) + 2)

    @property
    def rate(self) -> float | None:
        """Steps per second over the last two seconds; None until there are some."""
        if len(self._times) < max(3.0, self.hz / 2):
            return None
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-9)

    @property
    def mean_rate(self) -> float | None:
        """Steps per second of all the time in which the game ran."""
        return self.steps / self.seconds if self.seconds else None

    @property
    def is_slow(self) -> bool:
        rate = self.rate
        return rate is not None and rate < SLOW * self.hz

    def hold(self) -> None:
        """The game waits: the time until it goes on is in no rate."""
        self._due = None
        self._times.clear()

    def is_due(self, now: float) -> bool:
        """Whether a step is due; the first one a period after the game goes on."""
        if self._due is None:
            self._due = now + 1 / self.hz
            self._last_step = now
            self._times.append(now)
        return now >= self._due

    def step(self, now: float) -> None:
        """The step that is due is taken, its work begins at `now`."""
        assert self._due is not None
        self._due += 1 / self.hz
        if now - self._due > max(LAG_SECONDS, 2 / self.hz):
            self._due = now
        self.steps += 1
        self.seconds += now - self._last_step
        self._last_step = now
        self._times.append(now)
        self._stepped = True

    def is_late(self, now: float) -> bool:
        """Whether the step that is due should have been taken half a period ago."""
        return self._due is not None and now > self._due + 0.5 / self.hz

    def share(self, now: float) -> float:
        """How much of the time from the last step to the next one is over, 0 to 1; 1 while the game waits."""
        if self._due is None:
            return 1.0
        return min(1.0, max(0.0, 1 - (self._due - now) * self.hz))

    def room(self, now: float) -> float:
        """Seconds until the next step is due; endless while the game waits."""
        return float("inf") if self._due is None else self._due - now

    def may_draw(self, now: float, *, has_input: bool = False) -> bool:
        """Whether something may have changed, and a drawing fits before the next step or was not made for long."""
        since = now - self._last_drawn
        is_new = self._stepped or since >= (INPUT_SECONDS if has_input else REST_SECONDS)
        return is_new and (self._cost <= self.room(now) or since >= STARVED_SECONDS)

    def drawn(self, begin: float, end: float) -> None:
        """A drawing was made."""
        self._cost = max(end - begin, 0.9 * self._cost)
        self._last_drawn = begin
        self.drawings += self._due is not None
        self._stepped = False


class Detail:
    """How fine a game is drawn that can be drawn finer than its frames: coarse for a while where that is too slow."""

    def __init__(self) -> None:
        self._coarse_seconds, self._fine_at = COARSE_SECONDS, 0.0
        self._detail = MAX_DETAIL

    def choose(self, now: float, *, is_slow: bool) -> int:
        """The detail of the next steps, at `now` in seconds."""
        if is_slow and self._detail > 1:
            self._detail, self._fine_at = 1, now + self._coarse_seconds
            self._coarse_seconds *= 2
        elif self._detail == 1 and not is_slow and now >= self._fine_at:
            self._detail = MAX_DETAIL
        return self._detail

"""Pictures: what the window shows of a game, which may be finer and smoother than the frames that are recorded."""

from __future__ import annotations

from games.env import Env, Frame
from games.human.contracts import Smooth


class Pictures:
    """The pictures of an environment; the last one of an episode stays for a moment of the next one's countdown."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.moves = isinstance(env, Smooth)
        """Whether there are pictures between two steps."""
        self._last: Frame | None = None
        self._last_until = 0.0

    def at(self, now: float, share: float | None, frame: Frame) -> Frame:
        """What to show at `now` in seconds, after an observation with this frame.

        `share` is how much of the step's time is over, 0 to 1; None while the game waits.
        """
        if share is None and self._last is not None and now < self._last_until:
            return self._last
        self._last = None
        if isinstance(self.env, Smooth) and share is not None and share < 1:
            return self.env.frame_between(share)
        return self._newest(frame)

    def keep(self, frame: Frame, until: float) -> None:
        """Keep the newest picture: it is how an episode ended."""
        self._last, self._last_until = self._newest(frame).copy(), until

    def _newest(self, frame: Frame) -> Frame:
        native: Frame | None = getattr(self.env, "native_frame", None)
        return frame if native is None else native

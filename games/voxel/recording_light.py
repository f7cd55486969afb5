"""Recording light: what a person sees of the recording, which never is in the recorded frames."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import pygame

from games.voxel.fonts import WHITE, Color, FallbackFont

RED: Color = (228, 60, 52)
GREY: Color = (150, 150, 150)
AMBER: Color = (250, 180, 60)
NOTICE_SECONDS = 2.5


@dataclass(frozen=True)
class RecordingStatus:
    """A recording so far: the steps of the episode under way, and the episodes before it."""

    steps: int = 0
    dropped: int = 0
    """Steps of the episode under way that were not written."""
    disk_full: bool = False
    """Whether steps are being dropped because the disk is nearly full."""
    saved: int = 0
    left_out: int = 0
    """Episodes too short to be kept."""
    finished: bool = False
    """Whether there are as many episodes as were asked for."""


class RecordingLight:
    """The light, the steps, their measured rate, the episodes saved, and what went wrong."""

    def __init__(self, hz: float) -> None:
        self._hz = hz
        self._times: deque[float] = deque(maxlen=2 * round(hz) + 1)
        self._status = RecordingStatus()
        self._notice, self._notice_until = "", 0.0
        self.color: Color = RED
        self.text = ""
        self.warning = ""

    def step(self, now: float) -> None:
        """A step was taken, at `now` in seconds."""
        self._times.append(now)

    def pause(self) -> None:
        """The game waits: the time until it goes on is in no rate."""
        self._times.clear()

    @property
    def rate(self) -> float | None:
        """Steps per second over the last two seconds; None until there are some."""
        if len(self._times) < self._hz / 2:
            return None
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-9)

    def update(self, status: RecordingStatus, now: float, *, idle: bool, paused: bool) -> None:
        """Take over the state of the recording at `now` in seconds."""
        before, self._status = self._status, status
        if status.saved > before.saved:
            self._notice, self._notice_until = "saved", now + NOTICE_SECONDS
        elif status.left_out > before.left_out:
            self._notice, self._notice_until = "left out: too short", now + NOTICE_SECONDS
        notice = self._notice if now < self._notice_until else ""
        state = "paused" if paused else "idle" if idle else "REC"
        self.color = GREY if paused or idle else AMBER if status.disk_full else RED
        rate = "–" if self.rate is None else f"{self.rate:.1f}"
        parts = (state, f"{status.steps} steps", f"{rate} of {self._hz:g} Hz")
        self.text = "   ".join(filter(None, (*parts, f"{status.saved} saved", notice)))
        self.warning = _warning(status)

    def draw(self, screen: pygame.Surface, font: FallbackFont, right: int, y: int) -> None:
        """Draw the light and its lines, which end at `right`."""
        left = right - font.width(self.text)
        pygame.draw.circle(screen, self.color, (left - 14, y + 9), 7)
        font.draw(screen, self.text, left, y, WHITE)
        if self.warning:
            font.draw(screen, self.warning, right - font.width(self.warning), y + 24, AMBER)


def _warning(status: RecordingStatus) -> str:
    if status.disk_full:
        return "NOT RECORDING: disk full"
    return f"{status.dropped} steps lost: the recorder is too slow" if status.dropped else ""

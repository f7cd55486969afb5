"""Recording light: what a person sees of the recording, which never is in the recorded frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from games.human.fonts import Color

RED: Color = (228, 60, 52)
GREY: Color = (150, 150, 150)
AMBER: Color = (250, 180, 60)
NOTICE_SECONDS = 2.5
LITTLE_BYTES = 5 << 30
"""Free space of which the person is warned."""


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
    discarded: int = 0
    """Episodes that the person threw away."""
    finished: bool = False
    """Whether there are as many episodes as were asked for."""
    free_bytes: int | None = None
    """Room on the disk; None where nothing is recorded."""


class LightState(NamedTuple):
    """What the light shows: a word and its colour, the lines under it, and a warning or ""."""

    word: str
    color: Color
    lines: tuple[str, ...]
    warning: str


class RecordingLight:
    """The light, the steps, their measured rate, the disk, the episodes saved, and what went wrong."""

    def __init__(self, hz: float) -> None:
        self._hz = hz
        self._status = RecordingStatus()
        self._notice, self._notice_until = "", 0.0

    def update(
        self, status: RecordingStatus, now: float, rate: float | None, *, word: str = "REC"
    ) -> LightState:
        """What to show at `now` in seconds; any `word` but REC says why nothing is being recorded."""
        before, self._status = self._status, status
        for name, notice in (
            ("saved", "saved"),
            ("left_out", "left out: too short"),
            ("discarded", "thrown away"),
        ):
            if getattr(status, name) > getattr(before, name):
                self._notice, self._notice_until = notice, now + NOTICE_SECONDS
        color = GREY if word != "REC" else AMBER if status.disk_full else RED
        word = "NOT REC" if color is AMBER else word
        measured = "–" if rate is None else f"{rate:.1f}"
        lines = [f"{status.steps} steps", f"{measured} of {self._hz:g} Hz"]
        if status.free_bytes is not None:
            lines += [f"{status.saved} saved", f"{status.free_bytes / 1e9:.1f} GB left"]
        lines.append(self._notice if now < self._notice_until else "")
        return LightState(word, color, tuple(lines), _warning(status))


def _warning(status: RecordingStatus) -> str:
    if status.disk_full:
        return "the disk is full"
    if status.dropped:
        return f"{status.dropped} steps lost"
    if status.free_bytes is not None and status.free_bytes < LITTLE_BYTES:
        return "the disk is nearly full"
    return ""

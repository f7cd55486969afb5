"""Text box: one line that a person types while the game waits, with paste and an input method's composition."""

from __future__ import annotations

import time
import unicodedata
from contextlib import suppress
from enum import Enum
from typing import Any

import pygame

LENGTH_MAX = 500
"""Characters of a line."""
CONTROLS = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of controls, lone surrogates and line ends."""
REPEAT_FRAMES = 8
"""Frames that backspace is held before it repeats, one character a frame."""
BACK_SECONDS_MAX = 60
"""How far a line can be dated back."""


class Outcome(Enum):
    """Of an event: the box stays open, its line was accepted, or dropped."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DROPPED = "dropped"


class TextBox:
    """A line that is being typed: Enter accepts it, Esc drops it, the arrows up and down say since when it holds.

    The key that opens the box, `opened_by`, types nothing until it is let go, however long it is held.
    """

    def __init__(self, opened_by: int) -> None:
        self.text = ""
        self.composition = ""
        """What an input method has not settled yet."""
        self.opened_ns = time.monotonic_ns()
        self.back_seconds = 0
        """How long before the box was opened the line begins to hold."""
        self.problem = ""
        """Why the line was not accepted."""
        self._opened_by: int | None = opened_by
        self._backspace_frames: int | None = None

    @property
    def is_full(self) -> bool:
        return len(self.text) >= LENGTH_MAX

    def handle(self, event: Any) -> Outcome:
        """Handle an event of the keyboard."""
        if event.type == pygame.TEXTINPUT:
            self.composition = ""
            if self._opened_by is None:
                self.insert(event.text)
        elif event.type == pygame.TEXTEDITING:
            self.composition = event.text
        elif event.type == pygame.KEYUP:
            if event.key == self._opened_by:
                self._opened_by = None
            if event.key == pygame.K_BACKSPACE:
                self._backspace_frames = None
        elif event.type == pygame.KEYDOWN and not self.composition:
            return self._press(event)
        return Outcome.OPEN

    def tick(self) -> None:
        """A frame has passed: backspace repeats while it is held."""
        if self._backspace_frames is not None:
            self._backspace_frames += 1
            if self._backspace_frames > REPEAT_FRAMES:
                self.text = self.text[:-1]

    def insert(self, text: str) -> None:
        """Append text; line ends and other control characters become spaces."""
        line = "".join(" " if unicodedata.category(c) in CONTROLS else c for c in text)
        self.text = (self.text + line)[:LENGTH_MAX]

    def _press(self, event: Any) -> Outcome:
        self._opened_by = None  # only the last key that went down repeats
        self.problem = ""
        if event.key == pygame.K_BACKSPACE:
            self.text, self._backspace_frames = self.text[:-1], 0
        elif event.key == pygame.K_v and getattr(event, "mod", 0) & (
            pygame.KMOD_CTRL | pygame.KMOD_META
        ):
            self.insert(clipboard_text())
        elif event.key in (pygame.K_UP, pygame.K_DOWN):
            later = self.back_seconds + (1 if event.key == pygame.K_UP else -1)
            self.back_seconds = min(max(0, later), BACK_SECONDS_MAX)
        elif event.key in (pygame.K_RETURN, pygame.K_KP_ENTER):
            return Outcome.ACCEPTED if self.text.strip() else Outcome.DROPPED
        elif event.key == pygame.K_ESCAPE:
            return Outcome.DROPPED
        return Outcome.OPEN


def clipboard_text() -> str:
    """The text on the clipboard, "" where there is none or the system has no clipboard."""
    with suppress(pygame.error, NotImplementedError):
        if not pygame.scrap.get_init():
            pygame.scrap.init()
        for kind in ("text/plain;charset=utf-8", "UTF8_STRING", pygame.SCRAP_TEXT):
            if raw := pygame.scrap.get(kind):
                return raw.decode("utf-8", "replace").rstrip("\0")
    return ""

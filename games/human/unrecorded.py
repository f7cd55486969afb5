"""Unrecorded play: the window without a recorder, to try a game and its keys."""

from __future__ import annotations

from typing import Any

from games.human.contracts import PlayedStep
from games.human.recording_light import RecordingStatus
from games.human.typed_line import Style


class Unrecorded:
    """A recorder that writes nothing; it is finished after `episodes`, never where that is None."""

    def __init__(self, episodes: int | None = None) -> None:
        self.episodes = self.reached = 0
        self._wanted = episodes
        self._steps = self._texts = 0

    @property
    def status(self) -> RecordingStatus:
        finished = self._wanted is not None and self.episodes >= self._wanted
        return RecordingStatus(steps=self._steps, finished=finished)

    def begin(self, instruction: str, task: str, seed: int, actor: str) -> None:
        self._steps = self._texts = 0

    def step(self, step: PlayedStep) -> None:
        self._steps += 1

    def text(self, style: Style, text: str, **values: Any) -> int:
        self._texts += 1
        return self._texts - 1

    def event(self, kind: str, **values: Any) -> None:
        """Nothing is written."""

    def end(self, success: bool | None) -> None:
        if self._steps:
            self.episodes += 1
            self.reached += bool(success)
        self._steps = 0

    def discard(self) -> str:
        return "this" if self._steps else ""

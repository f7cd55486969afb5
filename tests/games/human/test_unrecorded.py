"""Unrecorded play: as many episodes as were asked for, and nothing on the disk."""

from typing import Any

import pygame
import pytest

from games.human.play import play_human
from games.human.unrecorded import Unrecorded
from tests.games.human.scripted_window import (
    ENTER,
    OPEN,
    Frames,
    StillEnv,
    key,
    options,
    script,
    typed,
    worlds,
)


def play(monkeypatch: pytest.MonkeyPatch, frames: Frames, episodes: int, **changes: Any) -> Any:
    recorder = Unrecorded(episodes)
    script(monkeypatch, frames)
    pace = play_human(StillEnv(**changes), recorder, worlds(), options())
    return recorder, pace


def test_a_game_is_played_and_its_pace_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, pace = play(monkeypatch, [[]] * 30, 2, end=5, success=True)
    assert (recorder.episodes, recorder.reached, pace.steps) == (2, 2, 10)
    assert pace.mean_rate == pytest.approx(20)


def test_what_is_typed_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    again = [key(pygame.K_BACKSPACE)]
    frames = [
        [],
        OPEN,
        typed("/goal dig"),
        ENTER,
        OPEN,
        typed("/fix 0 dig down"),
        ENTER,
        again,
        again,
    ]
    recorder, pace = play(monkeypatch, [*frames, []], 5)
    assert (recorder.episodes, pace.steps) == (1, 6)

"""Pictures of the window: finer and smoother than what is recorded, and how an episode ended."""

from typing import Any

import numpy as np

from games import Frame
from games.human.play import play_human
from games.human.screen import Screen
from tests.games.human.scripted_window import Log, StillEnv, Ticks, options, script, worlds


class MovingEnv(StillEnv):
    """A world that is drawn between its steps, in brightness by the share of the way."""

    def frame_between(self, share: float) -> Frame:
        return np.full((216, 384, 3), round(100 + 100 * share), np.uint8)


def shown_by(env: StillEnv, monkeypatch: Any, **changes: Any) -> tuple[list[int], Log]:
    shown: list[int] = []
    monkeypatch.setattr(Screen, "draw", lambda self, s: shown.append(int(s.picture[0, 0, 0])))
    script(monkeypatch, [[]] * 40)
    log = Log()
    play_human(env, log, worlds(), options(clock=Ticks(100), **changes))
    return shown, log


def test_a_game_that_moves_between_steps_is_shown_so_and_recorded_as_ever(monkeypatch: Any) -> None:
    shown, log = shown_by(MovingEnv(), monkeypatch)
    assert any(100 < level < 200 for level in shown)
    assert log.frames[:3] == [0, 1, 2]
    assert set(shown_by(StillEnv(), monkeypatch)[0]) == {90}


def test_how_an_episode_ended_stays_while_the_next_one_counts_down(monkeypatch: Any) -> None:
    class Ending(StillEnv):
        @property
        def native_frame(self) -> Frame:
            return np.full((216, 384, 3), self.count, np.uint8)

    shown, log = shown_by(Ending(3, success=True), monkeypatch, countdown_seconds=0.08)
    assert log.ends[0] is True
    end = shown.index(3)
    assert shown[end : end + 2] == [3, 3]  # the second one counts down
    assert 0 in shown[end:]

"""The window run with scripted events."""

from typing import Any

import pytest

from games import Env
from games.human.play import play_human
from tests.games.human.scripted_window import Frames, Log, StillEnv, options, script, worlds


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(frames: Frames, env: Env | None = None, log: Log | None = None, **changes: Any) -> Log:
        log = log or Log()
        script(monkeypatch, frames)
        play_human(env or StillEnv(), log, worlds(), options(**changes))
        return log

    return run

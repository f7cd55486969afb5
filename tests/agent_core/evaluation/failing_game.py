"""Frozen Lake as a game behind a socket that fails where a test wants it to."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from games import Action, Observation
from games.frozen_lake import GAME as LAKE

WAITS = "IAFM_TEST_WAITS"
"""Environment variable: a file that is made when the third episode's first step waits for ever."""


class FailingEnv:
    """Frozen Lake; `episodes` says how each episode goes that is begun, by any environment."""

    episodes: ClassVar[list[str]] = []

    def __init__(self) -> None:
        assert LAKE.make is not None
        self._env: Any = LAKE.make()
        self._goes = "plays"
        self._begun = 0
        self.is_closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, **settings: Any) -> tuple[Observation, dict[str, Any]]:
        self._goes = self.episodes.pop(0) if self.episodes else "plays"
        self._begun += 1
        if self._goes == "fails in reset":
            raise ConnectionResetError("reset by peer")
        result: tuple[Observation, dict[str, Any]] = self._env.reset(**settings)
        return result

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self._goes == "fails in a step":
            raise TimeoutError("timed out")
        if self._goes == "has a fault":
            raise ZeroDivisionError
        if self._begun == 3 and WAITS in os.environ:
            Path(os.environ[WAITS]).touch()
            time.sleep(600)  # until it is interrupted
        result: tuple[Observation, float, bool, bool, dict[str, Any]] = self._env.step(action)
        return result

    def close(self) -> None:
        self.is_closed = True
        self._env.close()
        if WAITS in os.environ:
            Path(f"{os.environ[WAITS]}-closed").touch()


GAME = replace(LAKE, make=FailingEnv, max_envs=1)

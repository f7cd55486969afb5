"""What does the registry hold? A spec and, where the game can be started from here, the way to start it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from games.env import Env
from games.spec import GameSpec


@dataclass(frozen=True)
class Game:
    """One entry of the registry; `make` is None where a game can only be recorded or attached over a bridge."""

    spec: GameSpec
    make: Callable[[], Env] | None = None
    tasks: tuple[str, ...] = ()

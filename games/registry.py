"""Registry of games: shipped ones, installed ones (entry-point group `iafm.games`), `module:NAME` and `scheme:NAME`.

A scheme (entry-point group `iafm.game_schemes`) is a function that makes a game of the rest of its name, such as
`minerl:MineRLTreechop-v0`: a family of games that another package reaches.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

from games.env import Env
from games.game import Game
from games.spec import did_you_mean

GROUP = "iafm.games"
SCHEMES = "iafm.game_schemes"
_SHIPPED = {
    "voxel": "games.voxel:GAME",
    "brawl": "games.brawl:GAME",
    "minecraft": "games.minecraft:GAME",
    "bleeding-edge": "games.bleeding_edge:GAME",
    "doom": "games.doom:GAME",
    "pong": "games.pong:GAME",
    "frozen-lake": "games.frozen_lake:GAME",
    "language-table": "games.language_table:GAME",
    "calvin": "games.calvin:GAME",
    "clips": "games.clips:GAME",
}


class UnknownGameError(LookupError):
    """There is no game of this name; the message has the closest one."""


def names() -> tuple[str, ...]:
    """The short names of all registered games, shipped ones first."""
    return (*_SHIPPED, *(point.name for point in entry_points(group=GROUP)))


def load(name: str) -> Game:
    """Find a game by its short name (`voxel`), its id (`voxel-v0`), `module:NAME` or `scheme:NAME`.

    `NAME` holds a `Game`; its module may lie in the current folder. A scheme comes before a module of its name. Raises
    `UnknownGameError` with the closest known name, or with what went wrong in the module, and what a scheme raises.
    """
    if ":" in name:
        scheme, _, rest = name.partition(":")
        for point in entry_points(group=SCHEMES, name=scheme):
            game: Game = point.load()(rest)
            return game
        with _current_folder_importable():
            return _load_target(name)
    short = name.rpartition("-v")[0] if name.rpartition("-v")[2].isdigit() else name
    installed = {point.name: point.value for point in entry_points(group=GROUP)}
    target = _SHIPPED.get(short) or installed.get(short)
    if target is None:
        raise UnknownGameError(f"no game called {name!r}{did_you_mean(name, names())}")
    return _load_target(target)


def _load_target(target: str) -> Game:
    module, _, attribute = target.partition(":")
    if not (module and attribute) or module.startswith("."):
        raise UnknownGameError(f"a game outside the registry is module:NAME, got {target!r}")
    try:
        game = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise UnknownGameError(f"cannot load game {target!r}: {error}") from error
    if not isinstance(game, Game):
        raise UnknownGameError(f"{target!r} is a {type(game).__name__}, not a games.Game")
    return game


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """Modules of the current folder can be imported meanwhile; the path of the `iafm` script lacks it."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def make(name: str) -> Env:
    """Start a game's environment; raises `UnknownGameError` where it can only be recorded or bridged, and
    `games.UnplayableError` where something it needs is not installed."""
    game = load(name)
    if game.make is None:
        raise UnknownGameError(f"{name!r} has no built-in environment; attach it over a bridge")
    return game.make()

"""Games by scheme: families of games that another package reaches."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from games import Game
from games.registry import SCHEMES, UnknownGameError, load
from games.voxel import GAME

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def voxel_at(rest: str) -> Game:
    """A scheme's function."""
    assert rest == "TASK-v0,port=1"
    return GAME


def test_a_scheme_makes_a_game_of_the_rest_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("some", f"{__name__}:voxel_at", SCHEMES)
    monkeypatch.setattr(EntryPoint, "load", lambda _: voxel_at)
    monkeypatch.setattr(
        "games.registry.entry_points",
        lambda group, name="": [point] if (group, name) == (SCHEMES, "some") else [],
    )
    assert load("some:TASK-v0,port=1") is GAME
    with pytest.raises(UnknownGameError, match="cannot load game 'other:TASK'"):
        load("other:TASK")


def test_shipped_schemes_are_functions() -> None:
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"][SCHEMES]
    for name, target in declared.items():
        assert callable(EntryPoint(name, target, SCHEMES).load())

"""Settings of `iafm train --game`: chosen from the episodes, overridden by recipe and command, shown with reasons."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_core.cli.output import remark, table

if TYPE_CHECKING:
    from agent_core.config import RunConfig
    from agent_core.training.own_game import Choice

RECIPE = Path(__file__).parents[1] / "recipes" / "own-game.toml"
SETTINGS = "settings.toml"


@dataclass(frozen=True)
class OwnGame:
    """A run on one game's episodes."""

    config: RunConfig
    choices: list[Choice]
    run_dir: Path
    title: str
    toml: str
    """The choices as a recipe, with their reasons."""

    def save(self, fresh: bool) -> None:
        """Write the recipe into the folder of a run that begins; a resumed one has what it began with."""
        from agent_core.training.run_dir import STATE, create_run_dir
        from recorder.format.atomic import current_or_old, write_atomic

        create_run_dir(self.run_dir)
        if fresh or not current_or_old(self.run_dir / STATE).exists():
            write_atomic(self.run_dir / SETTINGS, self.toml)

    def show(self, as_json: bool) -> None:
        """A table, or lines beside the answer where that is JSON."""
        rows = [(choice.name, json.dumps(choice.value), choice.reason) for choice in self.choices]
        if as_json:
            for name, value, reason in rows:
                remark(f"{name} = {value}: {reason}")
        else:
            table(("setting", "value", "why"), rows, title=self.title)

    @property
    def record(self) -> dict[str, Any]:
        """The choices as JSON has them."""
        return {c.name: {"value": c.value, "reason": c.reason} for c in self.choices}


def own_game(args: argparse.Namespace, overrides: Sequence[str]) -> OwnGame:
    """The run that `--game` asks for; raises `ConfigError` or `CaptureError` where its episodes are of no one game."""
    from agent_core.config import load_config
    from agent_core.data.episode_statistics import episode_statistics
    from agent_core.training.own_game import own_game_settings, settings_toml

    name = game_name(args.game, bool(args.data))
    recipe = args.config or RECIPE
    given = given_settings(recipe, overrides)
    folders = given.setdefault("data.episodes", [str(Path("data") / name)])
    data = episode_statistics([folders] if isinstance(folders, str) else folders, name)
    choices = own_game_settings(data, given)
    chosen = [choice.override for choice in choices if choice.name not in given]
    episodes = f"data.episodes={json.dumps(folders)}"
    config = load_config(recipe, [episodes, *chosen, *overrides])
    run_dir = args.run or Path("runs") / (name + "-baseline" * args.baseline)
    title = f"settings for {data.spec.id}, from {data.episodes:,} episodes of {data.steps:,} steps"
    return OwnGame(config, choices, run_dir, title, settings_toml(data, choices))


def game_name(game: str, has_data: bool) -> str:
    """The short name of a game; an unknown one may have been recorded elsewhere, where there is data of it."""
    from games.registry import UnknownGameError, load

    try:
        return load(game).spec.name
    except UnknownGameError:
        if ":" in game or not (has_data or (Path("data") / game).is_dir()):
            raise
        return game


def given_settings(recipe: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """What recipe and command name themselves, by name (`model.frame_height`)."""
    given: dict[str, Any] = {}
    with suppress(OSError, ValueError, RecursionError):  # load_config says what is wrong
        for section, values in tomllib.loads(recipe.read_text(encoding="utf-8")).items():
            if isinstance(values, dict):
                given |= {f"{section}.{name}": value for name, value in values.items()}
    for override in overrides:
        name, _, text = override.partition("=")
        try:
            given[name.strip()] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            given[name.strip()] = text.strip()
    return given

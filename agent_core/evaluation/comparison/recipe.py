"""Comparison recipe: games, conditions, seeds and budgets of the paper's comparison, from one TOML file.

The sections `[model]`, `[data]`, `[loss]` and `[train]` are those of a run and hold for every training;
`[pretrain.*]`, `[finetune.*]` and `[scratch.*]` change them for one kind of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from agent_core.config import RunConfig, parse_override, read_toml, run_config
from agent_core.errors import ConfigError
from games import did_you_mean
from games.frozen_model import FrozenModel
from games.registry import load
from games.validation_error import first_error

Condition = Literal["scratch", "scratch_long", "pretrained", "finetuned"]
TITLES: dict[Condition, str] = {
    "scratch": "from scratch, steps of fine-tuning",
    "scratch_long": "from scratch, steps of both",
    "pretrained": "pre-trained only",
    "finetuned": "pre-trained and fine-tuned",
}
"""The conditions in the order of a table."""
SECTIONS = ("model", "data", "loss", "train")
Settings = dict[str, dict[str, Any]]
"""By section, not validated."""
_DERIVED = {
    "data.episodes": "each game's `data` names its folder",
    "data.cache": "the frames are decoded into the run's folder",
    "train.seed": "`seeds` has them",
    "train.minutes": "budgets are in steps, which can be the same",
    "train.init_from": "fine-tuning begins with the pre-trained weights",
}
_SHARED = (
    "train.batch",
    "data.window_frames",
    "data.truncate_prob",
    "data.single_frame_prob",
)
"""The same in every training: else as many steps would be another number of frames."""
MATCH_SEED = 990_000
"""First seed of the held-out matches; training episodes have those below."""


class GameRecipe(FrozenModel):
    """One game: what the scripted expert records of it."""

    episodes: int = Field(ge=1, le=MATCH_SEED)
    """For training, of the seeds from 0 on."""
    tasks: tuple[str, ...] = ()
    """All of the game's where none is named."""
    data: str = ""
    """Folder of the episodes, where what is recorded already is taken; in the run's folder where empty."""


class Recipe(FrozenModel):
    """What is compared."""

    games: dict[str, GameRecipe] = Field(min_length=1)
    """By the name of `games.registry.load`."""
    conditions: tuple[Condition, ...] = Field(tuple(TITLES), min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0, lt=1 << 63)], ...] = Field((0, 1, 2), min_length=1)
    """Of trainings; each begins with other weights and sees other windows."""
    matches: int = Field(default=100, ge=1, le=10_000)
    """Held-out matches of the expert for each game, without noise."""
    play_episodes: int = Field(default=100, ge=1)
    """Of every checkpoint in closed loop, spread over the tasks."""
    noise_prob: float = Field(default=0.02, ge=0, le=1)
    """Of the training episodes (`iafm record --noise-prob`)."""
    weights: Literal["last", "best"] = "last"
    """last: those at the end of the budget. best: those of the lowest validation loss, which depend on when they are
    validated (`train.validate_every_s`)."""
    workers: int = Field(default=2, ge=1)
    """Processes that record and play."""
    model: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    loss: dict[str, Any] = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)
    pretrain: Settings
    finetune: Settings
    scratch: Settings = Field(default_factory=dict)

    @field_validator("seeds", "conditions")
    @classmethod
    def _distinct(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError(f"{list(values)} names one twice")
        return values

    @model_validator(mode="after")
    def _budgets_are_equal(self) -> Recipe:
        _refuse(self._shared(), {**_DERIVED, "train.steps": "it differs between trainings"}, "")
        for kind in ("pretrain", "finetune", "scratch"):
            settings: Settings = getattr(self, kind)
            for section in settings:
                if section not in SECTIONS[1:]:
                    raise ValueError(
                        f"{kind}: no section {section!r}; there are {', '.join(SECTIONS[1:])}"
                    )
            _refuse(settings, {**_DERIVED, **dict.fromkeys(_SHARED, "set it for all")}, f"{kind}.")
            if kind != "scratch":
                self.steps(kind)
        steps = {"train.steps": "it has those of fine-tuning, or of both"}
        _refuse(self.scratch, steps, "scratch.")
        return self

    def _shared(self) -> Settings:
        return {section: getattr(self, section) for section in SECTIONS}

    def steps(self, kind: str) -> int:
        """Optimizer steps of a kind of training."""
        match kind:
            case "scratch":
                return self.steps("finetune")
            case "scratch_long":
                return self.steps("pretrain") + self.steps("finetune")
        steps = getattr(self, kind).get("train", {}).get("steps", 0)
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(f"{kind}.train.steps: a number of steps from 1 on, not {steps!r}")
        return steps

    def settings(self, kind: str) -> RunConfig:
        """Settings of a kind of training, without seed, folders and initial weights; raises `ConfigError`."""
        changes: Settings = getattr(self, "scratch" if kind.startswith("scratch") else kind)
        merged = {
            name: {**shared, **changes.get(name, {})} for name, shared in self._shared().items()
        }
        merged["train"] |= {"steps": self.steps(kind), "minutes": 0.0}
        return run_config(merged)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides like `games.voxel.episodes=50`.

    Raises `ConfigError` with one line, `UnknownGameError`, and `UnplayableError` for a game without expert or tasks.
    """
    values = read_toml(path)
    for override in overrides:
        _set(values, *parse_override(override))
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        first = first_error(error)
        known = [*Recipe.model_fields, *GameRecipe.model_fields]
        hint = did_you_mean(first.path[-1], known) if first.kind == "extra_forbidden" else ""
        place = ".".join(first.path)
        raise ConfigError(
            f"{path}: {': '.join(filter(None, (place, first.message)))}{hint}"
        ) from None
    for kind in ("pretrain", "finetune", "scratch"):
        try:
            recipe.settings(kind)
        except ConfigError as error:
            raise ConfigError(f"{path}: {kind}: {error}") from None
    _check_games(recipe, path)
    return recipe


def _check_games(recipe: Recipe, path: Path) -> None:
    """Raise for games that cannot be recorded, or of which two are the same."""
    for name, game_recipe in recipe.games.items():
        game = load(name)
        game.expert()
        game.select_tasks(game_recipe.tasks)
    names = [load(name).spec.name for name in recipe.games]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: games: {', '.join(recipe.games)} are not all different")


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    """Set a value in nested tables by its dotted name."""
    *sections, key = name.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{name}: {section} is {values!r}, which has no settings")
    values[key] = value


def _refuse(settings: Settings, reasons: Mapping[str, str], prefix: str) -> None:
    """Raise `ValueError` for a setting that is not a recipe's to give."""
    for name, reason in reasons.items():
        section, _, key = name.partition(".")
        if key in settings.get(section, {}):
            raise ValueError(f"{prefix}{name} cannot be set here: {reason}")

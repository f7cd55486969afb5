"""Run configuration: TOML files, overrides, budgets, messages of wrong settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_core.config import ModelConfig, RunConfig, load_config
from agent_core.errors import ConfigError


def test_overrides_and_round_trip(tmp_path: Path) -> None:
    config = load_config(None, ["train.lr=1e-4", 'data.episodes=["a b"]', "train.device=cpu"])
    assert config.train.lr == 1e-4
    assert config.data.episodes == ("a b",)
    (tmp_path / "run.toml").write_text(config.toml())
    assert load_config(tmp_path / "run.toml") == config
    assert load_config(None) == RunConfig()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.step=1", "no setting called 'train.step'; did you mean 'steps'"),
        ("lr=1", "section.setting=value"),
        ("train.lr=-1", "train.lr: "),
        ("model.pooled_grid=[5, 8]", "no grid of 5x8"),
        ("model.stem_strides=[4, 2, 2]", "must come to 8 in all"),
        ('model.preset=["tiny"]', "model.preset: Input should be 'tiny'"),
        ("train.betas=[0.9, 1.5]", "train.betas.1: Input should be less than 1"),
        ("train.betas=[-0.1, 0.9]", "train.betas.0: Input should be greater than or equal to 0"),
        ("data.task_weights={dig_down=-1}", "data.task_weights.dig_down: "),
        ("data.task_weights={dig_down=nan}", "data.task_weights.dig_down: "),
        (
            'model.text_conditioning="early"',
            "model.text_conditioning: Input should be a valid boolean",
        ),
        ("model.action_chunk=4", "model.action_chunk=4 needs data.mask_actions_prob=1, got 0.75"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        load_config(None, [override])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_height": 100}, "no whole patches of 16 pixels"),
        ({"pooled_grid": (15, 14)}, "finer than the patches"),
        ({"context_frames": 10}, "do not fit into 2048 positions"),
        ({"heads": 7}, "no multiple of heads"),
    ],
)
def test_the_papers_sizes_must_fit_together(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.model_validate({"preset": "paper", **changes})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "paper"}, 'is for backbone "compact"'),
        ({"preset": "paper-realtime"}, 'is for backbone "compact"'),
        ({"stem_strides": (2, 2, 2), "pooled_grid": (9, 16)}, "needs a spatial mixing behind"),
    ],
)
def test_text_conditions_only_what_is_mixed_later(
    settings: dict[str, object], message: str
) -> None:
    ModelConfig.model_validate({**settings, "text_conditioning": False})
    with pytest.raises(ValueError, match=message):
        ModelConfig.model_validate({**settings, "text_conditioning": True})


@pytest.mark.parametrize(
    ("settings", "stage"),
    [
        ({}, 1),
        ({"preset": "small"}, 2),
        ({"stem_strides": (8, 1, 1)}, 0),
        ({"stem_strides": (2, 1, 4), "pooled_grid": (9, 8)}, 2),
        ({"stem_strides": (2, 2, 2), "stem_blocks": (0, 0, 1), "pooled_grid": (9, 16)}, 2),
    ],
)
def test_text_conditions_the_first_stage_at_an_eighth(
    settings: dict[str, object], stage: int
) -> None:
    config = ModelConfig.model_validate(settings)
    assert config.conditioned_stage == stage


def test_small_is_larger_than_tiny() -> None:
    assert load_config(None, ["model.preset=small"]).model.width > RunConfig().model.width


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read .*: Is a directory; name a TOML file"),
        (b"\xff\xfe", "can't decode byte 0xff"),
        (b"train = 5\n", r"train is a table of settings \(\[train\]\), not 5"),
        (b"x = " + b"[" * 100_000, "recursion"),
    ],
    ids=["a folder", "no text", "no table", "deep"],
)
def test_a_file_that_is_none_is_said_in_one_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path
    if content is not None:
        path = tmp_path / "run.toml"
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path, ["train.steps=3"])
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("overrides", "steps", "minutes"),
    [
        ([], 0, 8.0),
        (["train.steps=500"], 500, 0.0),
        (["train.minutes=3"], 0, 3.0),
        (["train.steps=500", "train.minutes=3"], 500, 3.0),
        (["train.steps=500", "train.minutes=0"], 500, 0.0),
    ],
)
def test_a_budget_of_steps_is_not_cut_by_the_default_minutes(
    overrides: list[str], steps: int, minutes: float
) -> None:
    train = load_config(None, overrides).train
    assert (train.steps, train.minutes) == (steps, minutes)


@pytest.mark.parametrize(
    ("overrides", "steps", "minutes"),
    [
        ([], 0, 10.0),
        (["train.steps=500"], 500, 0.0),
        (["train.minutes=3"], 0, 3.0),
        (["train.steps=500", "train.minutes=3"], 500, 3.0),
    ],
)
def test_one_overriding_budget_replaces_the_files(
    tmp_path: Path, overrides: list[str], steps: int, minutes: float
) -> None:
    path = tmp_path / "run.toml"
    path.write_text("[train]\nminutes = 10\n")
    train = load_config(path, overrides).train
    assert (train.steps, train.minutes) == (steps, minutes)


@pytest.mark.parametrize("seed", [-1, 1 << 63])
def test_seeds_have_63_bits(seed: int) -> None:
    assert load_config(None, ["train.seed=12345678901234"]).train.seed == 12345678901234
    with pytest.raises(ConfigError, match=r"train\.seed: Input should be"):
        load_config(None, [f"train.seed={seed}"])

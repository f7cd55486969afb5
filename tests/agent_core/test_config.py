"""Are settings read from TOML and overrides, and wrong ones named?"""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_core.config import ConfigError, ModelConfig, RunConfig, load_config


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
        ("lr=1", "part.setting=value"),
        ("train.lr=-1", "train.lr: "),
        ("model.visual_grid=[5, 8]", "no grid of 5x8"),
        ("model.stem_strides=[4, 2, 2]", "must come to 8 in all"),
        ("model.chunk=4", "model.chunk=4 needs data.hide_actions=1, got 0.75"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        load_config(None, [override])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_height": 100}, "no whole patches of 16 pixels"),
        ({"visual_grid": (15, 14)}, "finer than the patches"),
        ({"memory_frames": 10}, "do not fit into 2048 positions"),
        ({"heads": 7}, "no multiple of heads"),
    ],
)
def test_the_papers_sizes_must_fit_together(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.model_validate({"preset": "paper", **changes})


def test_small_is_larger_than_tiny() -> None:
    assert load_config(None, ["model.preset=small"]).model.width > RunConfig().model.width

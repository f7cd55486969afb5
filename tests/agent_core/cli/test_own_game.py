"""`iafm train --game` through `main`: choices shown, saved and overridden; one line for what it refuses."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent_core.__main__ import main
from agent_core.cli.own_game import RECIPE, given_settings
from tests.recorder.damaged_captures import record

SMALL = ["--set", "model.width=16", "--set", "model.heads=2", "--set", "model.layers=1"]
SHORT = ["--set", "train.steps=1", "--set", "train.validation_windows=4"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which `iafm record` puts episodes of the game `small`."""
    monkeypatch.chdir(tmp_path)
    for seed in range(12):
        record(tmp_path / "data" / "small", seed, instruction="go on" if seed % 2 else "stop")
    return tmp_path / "data" / "small"


def settings(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "config.toml").read_text())


def test_a_game_is_trained_with_settings_from_its_episodes(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "--game", "small", *SMALL, *SHORT, "--set", "model.context_frames=2", "--json"]
    assert main(argv) == 0
    printed = capsys.readouterr()
    report, run = json.loads(printed.out), data.parents[1] / "runs" / "small"
    chosen = report["settings"]
    assert chosen["model.text_conditioning"] == {
        "value": True,
        "reason": "2 different instructions",
    }
    assert "model.frame_stride = 1: half of the episodes have no more than 6 steps" in printed.err
    assert chosen["model.context_frames"] == {"value": 2, "reason": "given; else it would be 4"}
    effective = settings(run)
    for name, choice in chosen.items():
        section, _, key = name.partition(".")
        assert effective[section][key] == choice["value"]
    assert effective["data"]["mask_actions_prob"] == 1  # the recipe's
    saved = (run / "settings.toml").read_text()
    assert "frame_stride = 1 # half of" in saved
    capsys.readouterr()
    assert main([*argv[:-1], "--set", "train.minutes=0"]) == 0  # resumed: nothing left to do
    assert (run / "settings.toml").read_text() == saved
    assert "text_conditioning" in capsys.readouterr().out  # a table, with the reasons


def test_a_recipe_and_data_are_taken_as_they_are(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[model]\nframe_stride = 2\npooled_grid = [2, 3]\n[train]\nsteps = 1\n")
    moved = data.rename(tmp_path / "moved")
    argv = ["train", str(recipe), "--game", "small", "--data", str(moved), "--run", "r", *SMALL]
    assert main([*argv, "--set", "train.validation_windows=4"]) == 0
    effective = settings(tmp_path / "r")
    assert (effective["model"]["frame_stride"], effective["model"]["pooled_grid"]) == (2, [2, 3])
    assert (effective["train"]["steps"], effective["train"]["minutes"]) == (1, 0)
    assert effective["data"]["episodes"] == [str(moved)]
    assert given_settings(recipe, ["a.b=[1]", "c.d=x y"]) == {
        "model.frame_stride": 2, "model.pooled_grid": [2, 3], "train.steps": 1, "a.b": [1], "c.d": "x y",
    }  # fmt: skip


def test_data_needs_no_game(data: Path, tmp_path: Path) -> None:
    frame = ["--set", "model.frame_height=16", "--set", "model.frame_width=24"]
    grid = ["--set", "model.pooled_grid=[2,3]"]
    argv = ["train", "--data", str(data), "--run", "r", *frame, *grid, *SMALL, *SHORT]
    assert main(argv) == 0
    assert settings(tmp_path / "r")["data"]["episodes"] == [str(data)]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--game", "smal"], "no game called 'smal'"),
        (["--game", "no_module:GAME"], "no_module"),
        (["--game", "voxel"], "no episodes in data/voxel; record some with `iafm record`"),
        (["--game", "small", "--data", "nowhere"], "no episodes in nowhere"),
        (["--game", "voxel", "--data", "data/small"], "of small, not of voxel: --game small"),
        (["--game", "small", "--set", "model.frame_height=20"], "no whole patches of 8 pixels"),
        (["--game", "small", "--set", "model.frame_hight=24"], "did you mean 'frame_height'?"),
        (["missing.toml", "--game", "small"], "no configuration file missing.toml"),
    ],
)
def test_what_cannot_be_is_one_line(
    data: Path, argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *argv]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (data.parents[1] / "runs").exists()


def test_the_recipe_names_what_is_chosen() -> None:
    from agent_core.training.own_game import own_game_settings
    from tests.agent_core.training.test_own_game import statistics

    text = RECIPE.read_text()
    fixed = given_settings(RECIPE, [])
    for choice in own_game_settings(statistics()):
        assert choice.name.partition(".")[2] in text
        assert choice.name not in fixed

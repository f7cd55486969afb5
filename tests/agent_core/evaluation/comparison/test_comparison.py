"""Comparison through the command: all stages on two small games, stopped and killed in the middle."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_core.__main__ import main

pytestmark = pytest.mark.slow
RECIPE = """
seeds = [0]
conditions = ["scratch", "finetuned"]
matches = 2
play_episodes = 1
workers = 1
[games.frozen-lake]
episodes = 8
[games.voxel]
episodes = 3
tasks = ["dig_down"]
[model]
max_action_tokens = 12
frame_height = 24
frame_width = 32
pooled_grid = [1, 2]
width = 32
layers = 1
heads = 2
stem_widths = [8, 8, 8]
[data]
validation = 0.3
window_frames = 5
[train]
device = "cpu"
batch = 4
validate_every_s = 0
validation_windows = 4
save_every_s = 0
[pretrain.train]
steps = 4
[finetune.train]
steps = 3
"""


def command(recipe: Path, run: Path) -> list[str]:
    return [sys.executable, "-m", "agent_core", "compare", str(recipe), "--run", str(run)]


def end_at(lines: list[str], number: signal.Signals, words: list[str]) -> int:
    """Run a command, send it a signal once it has written these texts one after the other; returns the exit code."""
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in lines:
            assert any(line in text for text in process.stderr), line
        process.send_signal(number)
        process.stderr.read()
        return process.wait()


def test_a_comparison_stopped_and_killed_ends_with_the_same_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, whole, cut = tmp_path / "recipe.toml", tmp_path / "whole", tmp_path / "cut"
    recipe.write_text(RECIPE)
    assert main(["compare", str(recipe), "--run", str(whole), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["finished"] == table["stages"] == 21
    for figures in table["games"].values():
        assert figures["players"]["expert"]["mean"] == 1
        assert figures["conditions"]["finetuned"]["steps"] == 7
        for condition in figures["conditions"].values():
            assert condition["frames"]["mean"] > 0
            assert 0 <= condition["with_actions"]["exact"]["mean"] <= 1
            assert condition["success"]["episodes"] == 1
    assert table["games"]["voxel"]["baselines"]["repeat_last"]["bleu4"] > 0
    for name in ("table.json", "table.md", "table.png"):
        assert (whole / name).stat().st_size > 0

    for part in ("data", "matches", "results/record", "results/matches", "results/references"):
        shutil.copytree(whole / part, cut / part)
    words = command(recipe, cut)
    assert end_at(["at step 2:"], signal.SIGINT, words) == 130
    assert not (cut / "results" / "seed-0" / "pretrain" / "train.json").exists()
    in_finetuning = ["finetune frozen-lake, 3 steps", "at step 1:"]
    assert end_at(in_finetuning, signal.SIGKILL, words) == -signal.SIGKILL
    assert not (cut / "results" / "seed-0" / "frozen-lake-finetune" / "train.json").exists()
    assert main(["compare", str(recipe), "--run", str(cut), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == table

"""Recordings of Minecraft end to end: exported as VPT's files, imported, trained on, replayed to the result."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from agent_core.__main__ import main
from agent_core.training.run_log import read_log
from recorder import open_episodes

pytestmark = pytest.mark.slow

GAME = "agent_core.bench.minecraft_session:GAME"
STEPS = 100
SMALL = {
    "model.preset": '"tiny"', "model.width": 32, "model.layers": 1, "model.heads": 2,
    "model.stem_widths": [8, 8, 16], "model.context_frames": 4, "model.text_vocab_size": 300,
    "model.max_action_tokens": 27,
    "train.steps": 4, "train.minutes": 0, "train.batch": 4, "train.accumulate": 1, "train.warmup_steps": 1,
    "train.log_every": 1, "train.validation_windows": 8, "train.device": '"cpu"', "data.validation": 0.5,
}  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> Any:
    """The JSON that a command prints."""
    capsys.readouterr()
    assert main([*map(str, argv), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def recordings(capsys: pytest.CaptureFixture[str], folder: Path, seed: int, episodes: int) -> Path:
    """A folder of recordings as VPT's contractors made them."""
    captures = folder.with_name(folder.name + "-captures")
    record = ["record", GAME, "--expert", "--tasks", "seconds", "--noise-prob", 0, "--workers", 1]
    run(capsys, *record, "--seed", seed, "--episodes", episodes, "--out", captures)
    report = run(capsys, "episodes", "export", captures, "--format", "vpt", "--out", folder)
    assert (report["added"], report["episodes"]) == (episodes, episodes)
    return folder


@pytest.mark.parametrize("recipe", ["minecraft-tiny", "paper-scratch"])
def test_from_recordings_to_a_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recipe: str
) -> None:
    contractors = recordings(capsys, tmp_path / "contractors", 0, 3)
    data = tmp_path / "minecraft"
    report = run(capsys, "episodes", "import", contractors, "--game", "minecraft", "--out", data)
    assert (report["added"], report["dropped"], report["clipped"]) == (3, 0, 0)
    before = {e.header.seed: e.actions for e in open_episodes(tmp_path / "contractors-captures")}
    assert before == {e.header.seed: e.actions for e in open_episodes(data)}

    changes = {"data.episodes": json.dumps([str(data)]), **SMALL}
    settings = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    run_dir = tmp_path / "run"
    run(capsys, "train", f"agent_core/recipes/{recipe}.toml", "--run", run_dir, *settings)
    rows = [row for row in read_log(run_dir) if row["split"] == "train"]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(math.isfinite(row["action_nats_per_token"]) for row in rows)

    held_out = recordings(capsys, tmp_path / "held-out", 900, 1)
    report = run(capsys, "replay", held_out, "--game", "minecraft", "--checkpoint", run_dir / "best")  # fmt: skip
    assert (report["matches"], report["steps"], report["missing"]) == (1, STEPS, 0)
    for player in ("agent", "noop", "repeat_last"):
        assert {"bleu4", "exact", "button_f1", "change_f1"} <= set(report[player])
    assert 0 < report["repeat_last"]["exact"] < 1

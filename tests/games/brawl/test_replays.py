"""The command that writes the scripted expert's replay files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from games.brawl import BrawlEnv, replays
from games.brawl.replay import read_replay


def test_it_writes_a_file_an_episode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = ["focus_support", "stay_with_healer"]
    argv = [
        "--out",
        str(tmp_path / "out"),
        "--episodes",
        "2",
        "--seed",
        "990001",
        "--tasks",
        *tasks,
    ]
    assert replays.main(argv) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["player"], report["interrupted"]) == ("scripted expert", False)
    names = ["focus_support-990001.npz", "stay_with_healer-990002.npz"]
    assert [row["file"] for row in report["written"]] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert err.splitlines()[1].startswith("2 of 2: stay_with_healer-990002.npz, ")
    for row in report["written"]:
        replay = read_replay(tmp_path / "out" / row["file"])
        assert (replay.header.task, replay.header.instruction) == (row["task"], row["instruction"])
        assert len(replay) - replay.header.first == row["steps"] > 0


def test_ctrl_c_leaves_whole_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(env: BrawlEnv, task: str, seed: int) -> bool:
        if seed == 2:
            raise KeyboardInterrupt
        env.reset(seed=seed, options={"task": task})
        env.step({})
        return False

    monkeypatch.setattr(replays, "play_episode", play)
    assert replays.main(["--out", str(tmp_path), "--seed", "0", "--tasks", "win_match"]) == 130
    report = json.loads(capsys.readouterr().out)
    assert report["interrupted"]
    assert len(report["written"]) == len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("option", [("--episodes", "-1"), ("--seed", "x"), ("--tasks", "win")])
def test_mistakes_are_named(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        replays.main(["--out", "out", *option])
    assert f"argument {option[0]}: " in capsys.readouterr().err

"""The `iafm` command: answers, mistakes in one line, and no torch where none is needed."""

import json
import subprocess
import sys

import pytest
import torch

from agent_core.__main__ import main, parser
from agent_core.cli.demo import goal_of
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT
from recorder import open_episodes


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in (
        "demo",
        "games",
        "serve",
        "play",
        "record",
        "episodes",
        "train",
        "evaluate",
        "ask",
        "watch",
        "bench",
    ):
        assert name in text


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["games", "voxle"], "did you mean 'voxel'"),
        (["play", "minecraft"], "attach it over a bridge"),
        (["evaluate", "voxel", "--action-latency", "-1"], "0 steps or more, not -1"),
        (["play", "--url", "ws://127.0.0.1:1/v1"], "no server at"),
        (["serve", "--policy", "random", "--host", "0.0.0.0"], "set a token"),
        (["serve", "--checkpoint", "/nowhere"], "no checkpoint folder /nowhere"),
        (["episodes", "list", "/nowhere"], "no episodes in /nowhere"),
        (["train", "--set", "train.minuts=1"], "minuts"),
        (
            ["record", "voxel", "--expert", "--seed", "999999", "--episodes", "5"],
            "kept for evaluation",
        ),
        (["record", "minecraft", "--expert"], "minecraft has no scripted expert"),
        (["record", "voxel", "--expert", "--tasks", "dig_dwn"], "did you mean 'dig_down'"),
        (["evaluate", "voxel", "--seed-range", "abc"], "a whole number, not 'abc'"),
        (["play", "--url", "ws://127.0.0.1:99999/v1"], "Port out of range"),
        (
            ["ask", "why", "--url", "ftp://localhost"],
            "'ftp://localhost' is no address such as ws://",
        ),
        (["serve", "--policy", "random", "--port", "99999"], "port 99999 is none"),
        (["serve", "--policy", "random", "--token-file", "/nowhere"], "/nowhere cannot be read"),
        (["serve", "--policy", "random", "--token-file", "/dev/null"], "/dev/null is empty"),
        (["train", "--run", "/dev/null"], "/dev/null cannot be a run's folder (File exists)"),
        (["train", "--baseline", "--run", "/dev/null/x", "--set", "train.steps=1"], "Not a dir"),
        (["train", "agent_core"], "cannot read agent_core: Is a directory"),
        (["record", "minecraft"], "minecraft has no window for people"),
        (["evaluate", "minecraft"], "minecraft has no tasks"),
    ],
)
def test_mistakes_get_one_line_and_exit_2(argv, line, capsys):
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("other", ["best", "last", "last.old"])
def test_a_refused_run_leaves_the_settings_of_another(tmp_path, capsys, other):
    (tmp_path / "config.toml").write_text("another's")
    assert main(["train", "--run", str(tmp_path)]) == 2
    assert main(["train", "--baseline", "--run", str(tmp_path)]) == 2
    (tmp_path / other).mkdir()
    (tmp_path / other / "config.json").write_text('{"format": 1, "kind": "cnn-gru"}')
    assert main(["train", "--run", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert ["names no folder" in line for line in lines] == [True, True, False]
    assert "holds a CNN+GRU" in lines[2]
    assert (tmp_path / "config.toml").read_text() == "another's"


def test_games_as_json(capsys):
    assert main(["games", "--json"]) == 0
    assert {g["name"]: g["playable"] for g in json.loads(capsys.readouterr().out)}["voxel"]


def test_recording_goes_on_where_it_stopped(tmp_path, capsys):
    record = [
        "record",
        "voxel",
        "--expert",
        "--workers",
        "1",
        "--tasks",
        "dig_down",
        "--out",
        str(tmp_path),
        "--json",
    ]
    assert main([*record, "--episodes", "1"]) == 0
    assert main([*record, "--episodes", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["episodes"] for r in lines] == [1, 1]
    episodes = open_episodes(tmp_path)
    assert sorted(e.header.seed for e in episodes) == [0, 1]
    assert all(e.thoughts[-1] for e in episodes)

    exported = tmp_path / "shared"
    for added in (2, 0):
        assert main(["episodes", "export", str(tmp_path), "--out", str(exported), "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report == {"added": added, "episodes": 2, "out": str(exported)}
    assert main(["episodes", "validate", str(exported), "--json"]) == 0
    assert [row["problems"] for row in json.loads(capsys.readouterr().out)] == [[], []]


def test_the_random_server_loads_no_torch():
    code = "from agent_core.__main__ import parser; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_demo_plays_over_a_websocket(capsys):
    argv = [
        "demo",
        "--policy",
        "random",
        "--headless",
        "--episodes",
        "1",
        "--fast",
        "--port",
        "0",
        "--json",
    ]
    assert main(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["episodes"] == 1
    assert report["hz"] > 0
    assert report["url"].startswith("ws://127.0.0.1:")


def test_the_shipped_checkpoint_plays(capsys):
    argv = [
        "demo",
        "--headless",
        "--episodes",
        "1",
        "--fast",
        "--port",
        "0",
        "--json",
        "--threads",
        "1",
    ]
    assert DEFAULT_CHECKPOINT.is_dir()
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 1


def test_typed_goals_find_their_task():
    assert goal_of("Hunt the cow").task == "hunt_cow"
    assert goal_of("get beef, then wood").items == ("beef", "wood")
    assert goal_of("sing a song").task == "free"


def test_speeds_come_as_a_table(capsys):
    before = torch.get_num_threads()
    assert main(["bench", "infer", "--seconds", "0.1", "--threads", str(before)]) == 0
    rows = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines() if "│" in line]
    table = {name.strip(): value.strip() for name, value in rows}
    assert table["preset"] == "tiny"
    assert float(table["actions_per_s"]) > 0

"""The `iafm` command through `main`: answers, mistakes in one line, and no torch where none is needed."""

import argparse
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from agent_core.__main__ import main, parser
from agent_core.cli.arguments import subparsers
from agent_core.cli.demo import DemoGoals, goal_of
from agent_core.recording.human import HumanPlan
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT
from games.voxel import VoxelEnv
from recorder import open_episodes


def test_help_names_every_command_and_version_is_the_installed_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(f"    {name}" in text for name in subparsers(parser()))
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"iafm {version('iafm')}\n"


@pytest.mark.parametrize("name", list(subparsers(parser())))
def test_help_explains_every_option_and_its_default(name: str) -> None:
    command = subparsers(parser())[name]
    for action in command._actions:
        text = command._get_formatter()._expand_help(action)
        assert text, action.dest
        shown = action.default is not None and not isinstance(action.default, bool)
        if shown and action.default not in ("", [], argparse.SUPPRESS):
            assert f"(default: {action.default})" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_commands_options_and_choices(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", shell])
    assert caught.value.code == 0
    script = capsys.readouterr().out
    for word in ("instruct", "noise-prob", "bfloat16"):
        assert word in script


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["games", "voxle"], "did you mean 'voxel'"),
        (["paly"], "no command 'paly'; did you mean 'play'?"),
        (["play", "--episods", "2"], "unknown argument '--episods'; did you mean '--episodes'?"),
        (["ask", "wy"], "no choice 'wy'; did you mean 'why'?"),
        (
            ["bench", "xyz"],
            "there are play, infer, train, env, serve, hostile, episodes, crash, cuts",
        ),
        (["serve", "--polcy", "random"], "did you mean '--policy'?"),
        ([], "COMMAND"),
        (["play", "bleeding-edge"], "attach it over a bridge"),
        (["play", "--task", "chop_tre"], "did you mean 'chop_tree'"),
        (["play", "--url", "ws://127.0.0.1:1/v1"], "no server at"),
        (["serve", "--policy", "random", "--host", "0.0.0.0"], "set a token"),
        (["serve", "--checkpoint", "/nowhere"], "no checkpoint folder /nowhere"),
        (["episodes", "list", "/nowhere"], "no episodes in /nowhere"),
        (["train", "--set", "train.minuts=1"], "minuts"),
        (
            ["ask", "why", "--url", "ftp://localhost"],
            "'ftp://localhost' is no address such as ws://",
        ),
        (
            ["record", "voxel", "--expert", "--seed", "999999", "--episodes", "5"],
            "kept for evaluation",
        ),
        (["record", "bleeding-edge", "--expert"], "bleeding-edge has no scripted expert"),
        (["record", "voxel", "--expert", "--tasks", "dig_dwn"], "did you mean 'dig_down'"),
        (["record", "--expert", "--controls", "x"], "--controls is a person's option"),
        (["record", "--expert", "--countdown", "1"], "--countdown is a person's option"),
        (["record", "--workers", "2"], "--workers is the scripted expert's option"),
        (["record", "--noise-prob", "0"], "--noise-prob is the scripted expert's option"),
        (["record", "--expert", "--author", "me"], "--author is a person's option"),
        (["record", "--expert", "--agent", "x", "--noise-prob", "0.1"], "where --agent plays"),
        (["record", "--tasks", "dig_dwn"], "did you mean 'dig_down'"),
        (["record", "--seed", "1000000"], "kept for evaluation"),
        (["record", "--out", "/dev/null"], "cannot write to /dev/null: Not a directory"),
        (["record", "--expert", "--out", "/dev/null/x"], "name another folder with --out"),
        (["record", "--expert", "--out", "x" * 300], "File name too long"),
        (["evaluate", "--plot", "report.xyz"], "ends in .png, .pdf, .svg, got 'report.xyz'"),
        (["evaluate", "--plot", "/dev/null/report.png"], "cannot write /dev/null/report.png"),
        (["play", "--url", "ws://127.0.0.1:99999/v1"], "Port out of range"),
        (["serve", "--policy", "random", "--token-file", "/nowhere"], "/nowhere cannot be read"),
        (["serve", "--policy", "random", "--token-file", "/dev/null"], "/dev/null is empty"),
        (["serve", "--policy", "random", "--page", "/nowhere"], "--page /nowhere cannot be read"),
        (["serve", "--policy", "random", "--allow-origin", "null"], "'null' is no origin such as"),
        (["ask", "--token-file", "/nowhere"], "/nowhere cannot be read"),
        (["watch", "--token-file", "/nowhere"], "/nowhere cannot be read"),
        (["play", "--token-file", "/nowhere"], "/nowhere cannot be read"),
        (["instruct", "go", "--token-file", "/nowhere"], "/nowhere cannot be read"),
        (["train", "--run", "/dev/null"], "/dev/null cannot be a run's folder (File exists)"),
        (["train", "--baseline", "--run", "/dev/null/x", "--set", "train.steps=1"], "Not a dir"),
        (["train", "agent_core"], "cannot read agent_core: Is a directory"),
        (["record", "bleeding-edge"], "bleeding-edge' has no built-in environment"),
        (["evaluate", "bleeding-edge"], "bleeding-edge has no tasks"),
        (["play", "--malmo-port", "9000"], "--malmo-port is for minerl:TASK, not 'voxel'"),
        (["record", "pong", "--malmo-port", "9000"], "for minerl:TASK, not 'pong'"),
        (["evaluate", "pong", "--malmo-port", "9000"], "for minerl:TASK, not 'pong'"),
        (["evaluate", "--conditions", "agnt"], "did you mean 'agent'"),
        (["evaluate", "--data", "/nowhere"], "no episodes in /nowhere"),
        (["evaluate", "frozen-lake", "--conditions", "agent_swapped"], "nothing to play"),
        (["instruct", "\udcff"], "text in UTF-8"),
        (["check", ":GAME"], "module:NAME, got ':GAME'"),
        (["check", ".x:GAME"], "module:NAME, got '.x:GAME'"),
    ],
)
def test_mistakes_get_one_line_and_exit_2(
    argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "value", "wanted"),
    [
        ("play --seed", "-5", "a whole number from 0"),
        ("play --seed", str(2**63), "to 2**63-1"),
        ("play --malmo-port", "65536", "a port from 0 to 65535"),
        ("play --episodes", "-1", "a whole number from 1"),
        ("play --episodes", "0", "a whole number from 1"),
        ("demo --episodes", "0", "a whole number from 1"),
        ("demo --port", "65536", "a port from 0 to 65535"),
        ("serve --port", "x", "a port from 0 to 65535"),
        ("serve --threads", "0", "a whole number from 1"),
        ("serve --temperature", "nan", "a number from 0"),
        ("serve --temperature", "-1", "a number from 0"),
        ("watch --count", "0", "a whole number from 1"),
        ("record --seed", "-3", "a whole number from 0"),
        ("record --episodes", "0", "a whole number from 1"),
        ("record --workers", "0", "a whole number from 1"),
        ("record --noise-prob", "1.5", "a probability from 0 to 1"),
        ("episodes import --numbers", "-1", "a whole number from 0"),
        ("evaluate --workers", "-1", "a whole number from 1"),
        ("evaluate --episodes", "-1", "a whole number from 0"),
        ("evaluate --seed-range", "abc", "held-out or the first seed"),
        ("evaluate --seed-range", "-1", "held-out or the first seed"),
        ("evaluate --action-latency", "-1", "a whole number from 0"),
        ("evaluate --next-action-episodes", "-1", "a whole number from 0"),
        ("bench infer --sessions", "-1", "a whole number from 1"),
        ("bench infer --alternatives", "-1", "a whole number from 0"),
        ("bench infer --threads", "0", "a whole number from 1"),
        ("bench env --seconds", "0", "a number above 0"),
        ("bench env --seconds", "inf", "a number above 0"),
        ("bench play --pace-hz", "0", "a number above 0"),
        ("bench train --batch", "0", "a whole number from 1"),
    ],
)
def test_numbers_out_of_range_are_refused(
    command: str, value: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = command.split()
    assert main([*argv, value]) == 2
    error = capsys.readouterr().err
    assert wanted in error
    assert f"not {value!r}" in error
    assert error.count("\n") == 1


def test_an_evaluation_is_refused_before_torch_is_loaded() -> None:
    code = (
        "import sys; from agent_core.__main__ import main;"
        "code = main(['evaluate', '--conditions', 'agnt']); sys.exit(code + 10 * ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 2


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "agent_core", "games"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("iafm: No space left on device")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_ends_the_command_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)  # before the command starts: it cannot have written to a reader
    try:
        done = subprocess.run(
            [sys.executable, "-m", "agent_core", "games"],
            stdout=writer, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 141


def test_a_game_of_the_current_folder_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_lake.py").write_text("from games.frozen_lake import GAME\n")
    (tmp_path / "broken_lake.py").write_text("GAME = (\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    assert main(["games", "my_lake:GAME", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "frozen-lake-v0"
    assert main(["games", "broken_lake:GAME"]) == 2
    assert "cannot load game 'broken_lake:GAME'" in capsys.readouterr().err
    assert sys.path == path


@pytest.mark.parametrize("other", ["best", "last", "last.old"])
def test_a_refused_run_leaves_the_settings_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: str
) -> None:
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


@pytest.mark.parametrize("records", [True, False])
def test_a_person_without_a_display_gets_one_line(
    records: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "offscreen")
    command = (
        ["record", "--out", str(tmp_path / "mine")]
        if records
        else ["play", "frozen-lake", "--human"]
    )
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "no display" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "mine").exists()


def test_a_person_has_tasks_episodes_and_a_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans: list[HumanPlan] = []

    def record_human(plan: HumanPlan, policy: object = None) -> dict[str, object]:
        plans.append(plan)
        return {"episodes": 0, "left_out": 2}

    monkeypatch.setattr("agent_core.recording.human.record_human", record_human)
    assert main(["record", "--out", str(tmp_path)]) == 0
    options = (
        "frozen-lake --tasks dig_down hunt_cow --episodes 3 --seed 5 --author me --json "
        "--controls mine.toml --countdown 0"
    )
    assert main(["record", *options.split(), "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["left_out"] == 2
    tasks = ["dig_down", "hunt_cow"]
    assert plans == [
        HumanPlan(tmp_path),
        HumanPlan(tmp_path, "frozen-lake", "me", 5, tasks, 3, Path("mine.toml"), 0.0),
    ]


def test_no_captures_are_put_into_a_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text('{"codebase_version": "v3.0"}')
    for player in ([], ["--expert", "--episodes", "1"]):
        assert main(["record", *player, "--out", str(tmp_path)]) == 2
        assert "is a LeRobot dataset" in capsys.readouterr().err


def test_games_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["games", "--json"]) == 0
    assert {g["name"]: g["playable"] for g in json.loads(capsys.readouterr().out)}["voxel"]


def test_recording_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = ["record", "voxel", "--expert", "--workers", "1", "--tasks", "dig_down", "--json"]
    record += ["--out", str(tmp_path)]
    assert main([*record, "--episodes", "1"]) == 0
    assert main([*record, "--episodes", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["episodes"] for r in lines] == [1, 1]
    episodes = open_episodes(tmp_path)
    assert sorted(str(e.header.seed) for e in episodes) == ["0", "1"]
    assert all(e.thoughts[-1] for e in episodes)

    exported = tmp_path / "shared"
    for added in (2, 0):
        assert main(["episodes", "export", str(tmp_path), "--out", str(exported), "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report.pop("out") == str(exported)
        assert report == {"added": added, "skipped": [], "rounded": 0, "episodes": 2}
    assert main(["episodes", "validate", str(exported), "--json"]) == 0
    assert [row["problems"] for row in json.loads(capsys.readouterr().out)] == [[], []]


def test_the_random_server_loads_no_torch() -> None:
    code = "from agent_core.__main__ import parser; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_demo_plays_over_a_websocket(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_shipped_checkpoint_plays(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_typed_goals_find_their_task() -> None:
    assert goal_of("Hunt the cow").task == "hunt_cow"
    assert goal_of("get beef, then wood").items == ("beef", "wood")
    assert goal_of("sing a song").task == "free"


def test_the_demo_judges_by_a_typed_goal_until_it_is_released() -> None:
    env = VoxelEnv()
    goals = DemoGoals(env)
    for seed in range(2):  # a typed goal is taken up again in the next episode
        env.reset(seed=seed, options={"task": "dig_down"})
        own = env.goal
        assert goals.follow("hunt the cow")
        assert env.goal.task == "hunt_cow"
        assert not goals.follow("sing a song")
        assert (env.goal.task, env.goal.instruction) == ("free", "sing a song")
    assert goals.follow(None)
    assert env.goal == own


def test_speeds_come_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_num_threads()
    assert main(["bench", "infer", "--seconds", "0.1", "--threads", str(before)]) == 0
    rows = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines() if "│" in line]
    table = {name.strip(): value.strip() for name, value in rows}
    assert table["preset"] == "tiny"
    assert float(table["actions_per_s"].replace(",", "")) > 0

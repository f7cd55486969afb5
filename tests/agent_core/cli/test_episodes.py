"""The `episodes` command, and training and evaluation, on folders with damaged captures: skipped, named, exit 1."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from agent_core.__main__ import main
from agent_core.cli.episode_tables import duration, size
from agent_core.training.run_log import read_log
from recorder import CaptureWriter, open_episodes
from recorder.formats.import_job import ImportJob
from tests.recorder.damaged_captures import DAMAGES, SPEC, damaged, record, spoil_picture

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Whole captures of three seeds."""
    root = tmp_path_factory.mktemp("templates")
    return tuple(record(root, seed) for seed in range(3))


@pytest.fixture
def data(tmp_path: Path, templates: tuple[Path, ...]) -> Path:
    """A folder with two whole captures, between which there is room for a damaged one."""
    for name, template in (("1", templates[0]), ("3", templates[1])):
        shutil.copytree(template, tmp_path / "data" / name)
    return tmp_path / "data"


def run(capsys: Capsys, *argv: object) -> tuple[int, Any, str]:
    """Exit code, the JSON on stdout, and stderr."""
    code = main([*map(str, argv), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_capture_stops_nothing(
    data: Path, templates: tuple[Path, ...], damage: str, capsys: Capsys
) -> None:
    good = [template.name for template in templates[:2]]
    shutil.copytree(damaged(data, templates[2], damage), data / "2")
    shutil.rmtree(next(data.glob("2020*")))
    name = {"2", templates[2].name}
    why = DAMAGES[damage][1]

    code, rows, err = run(capsys, "episodes", "list", data)
    assert (code, [row["id"] for row in rows]) == (1, good)
    assert why in err
    assert "1 skipped" in err

    code, rows, err = run(capsys, "episodes", "stats", data)
    assert (code, [(row["task"], row["episodes"], row["success"]) for row in rows]) == (
        1,
        [("go", 2, 1.0)],
    )
    assert why in err

    code, rows, err = run(capsys, "episodes", "show", data)
    assert (code, list(dict.fromkeys(row["id"] for row in rows))) == (1, good)
    assert why in err

    code, rows, _ = run(capsys, "episodes", "validate", data)
    assert code == 1
    assert [bool(row["problems"]) for row in rows] == [False, True, False]
    assert any(why in problem for problem in rows[1]["problems"])

    code, report, err = run(capsys, "episodes", "export", data, "--out", data / "../dataset")
    assert (code, report["added"], report["episodes"]) == (1, 2, 2)
    assert [skipped["source"] in name for skipped in report["skipped"]] == [True]
    assert why in err
    assert why in report["skipped"][0]["why"]

    action = ("list", "stats", "show", "validate", "export")[list(DAMAGES).index(damage) % 5]
    code, rows, err = run(capsys, "episodes", action, data, "--strict")
    assert (code, rows) == (2, None)
    assert len(err.splitlines()) == 1
    assert why in err


@pytest.mark.parametrize("action", ["list", "stats", "show", "validate", "export"])
def test_strict_stops_at_the_first(
    data: Path, templates: tuple[Path, ...], action: str, capsys: Capsys
) -> None:
    for damage in ("null row", "no video"):
        damaged(data, templates[2], damage)
    code, rows, err = run(capsys, "episodes", action, data, "--strict")
    assert (code, rows) == (2, None)
    assert len(err.splitlines()) == 1
    assert DAMAGES["null row"][1] in err


def test_whole_captures_are_no_problem(data: Path, capsys: Capsys) -> None:
    for action in ("list", "stats", "show", "validate", "export"):
        code, _, err = run(capsys, "episodes", action, data, "--strict")
        assert (code, err) == (0, "")
    assert main(["episodes", "validate", str(data)]) == 0
    assert capsys.readouterr().out == "2 captures, no problems\n"


def test_a_folder_of_damaged_captures_is_listed_as_empty(
    tmp_path: Path, templates: tuple[Path, ...], capsys: Capsys
) -> None:
    for damage in ("null row", "manifest {}"):
        damaged(tmp_path, templates[0], damage)
    for action in ("list", "stats", "show"):
        code, rows, err = run(capsys, "episodes", action, tmp_path)
        assert (code, rows) == (1, [])
        assert "2 skipped" in err
    code, report, _ = run(capsys, "episodes", "export", tmp_path, "--out", tmp_path / "out")
    assert (code, report["added"], report["episodes"], len(report["skipped"])) == (1, 0, 0, 2)


def test_validate_has_a_row_for_every_capture(data: Path, capsys: Capsys) -> None:
    with CaptureWriter.create(data, SPEC, open_episodes(data)[0].header, disk_needed=0) as capture:
        code, rows, _ = run(capsys, "episodes", "validate", data)
    assert code == 0
    by_id = {row["id"]: row for row in rows}
    assert by_id[capture.folder.name]["note"] == "being written, not checked"
    assert len(rows) == 3
    main(["episodes", "validate", str(data)])
    out = capsys.readouterr().out
    assert f"{capture.folder.name}\n  it has no step and can be deleted\n" in out
    assert out.endswith("3 captures, 1 with problems\n")


def train_argv(run_dir: Path, *folders: Path) -> list[str]:
    """Two steps of a model of the smallest kind."""
    model = {
        "frame_height": 16, "frame_width": 24, "pooled_grid": [1, 1], "width": 32, "layers": 1,
        "heads": 2, "stem_widths": [8, 8, 16], "context_frames": 2, "text_vocab_size": 300,
    }  # fmt: skip
    train = {
        "steps": 2, "minutes": 0, "batch": 4, "warmup_steps": 1, "log_every": 1,
        "validation_windows": 4, "validate_every_s": 1e9, "device": '"cpu"',
    }  # fmt: skip
    settings = [f"model.{name}={value}" for name, value in model.items()]
    settings += [f"train.{name}={value}" for name, value in train.items()]
    settings += [f"data.episodes={json.dumps([str(f) for f in folders])}", "data.validation=0"]
    argv = ["train", "--run", str(run_dir)]
    return [*argv, *(part for setting in settings for part in ("--set", setting))]


@pytest.mark.parametrize("kind", [[], ["--baseline"]], ids=["iafm", "cnn-gru"])
def test_training_leaves_damaged_captures_out(
    data: Path, templates: tuple[Path, ...], kind: list[str], tmp_path: Path,
    capsys: Capsys, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    for damage in DAMAGES:
        damaged(data, templates[2], damage)
    shutil.copytree(templates[2], data / "spoiled")
    spoil_picture(data / "spoiled")
    (bad := tmp_path / "bad").mkdir()
    damaged(bad, templates[2], "null row")
    argv = [*train_argv(tmp_path / "run", data, bad), *kind]
    code, report, _ = run(capsys, *argv)
    assert code == 1
    assert report["exit_code"] == 1
    assert len(report["skipped"]) == len(DAMAGES) + 2
    for _, why in DAMAGES.values():
        assert any(why in skipped["why"] for skipped in report["skipped"])
        assert why in caplog.text
    assert "are left out, 2 remain" in caplog.text
    assert len(read_log(tmp_path / "run")) >= 2
    caplog.clear()
    code, report, _ = run(capsys, *argv, "--set", "train.steps=3")  # resumed
    assert (code, report["steps"]) == (1, 3)
    assert "do not decode" not in caplog.text  # remembered: the frames are not decoded again

    code, report, err = run(capsys, *argv, "--strict")
    assert (code, report) == (2, None)
    assert len(err.splitlines()[-1:]) == 1


def test_training_stops_where_nothing_is_left(
    tmp_path: Path, templates: tuple[Path, ...], capsys: Capsys
) -> None:
    (bad := tmp_path / "bad").mkdir()
    damaged(bad, templates[0], "null row")
    code, _, err = run(capsys, *train_argv(tmp_path / "run", bad))
    assert code == 2
    assert "none of 1 episodes can be read" in err
    shutil.copytree(templates[0], bad / "spoiled")
    spoil_picture(bad / "spoiled")
    code, _, err = run(capsys, *train_argv(tmp_path / "run", bad))
    assert code == 2
    assert "no video of 1 episodes decodes" in err


def test_an_import_names_what_it_skipped(
    tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The glue between any importer's report and the command."""

    def import_nothing(folder: Path, out: Path, spec: object, **options: Any) -> object:
        job = ImportJob(out, strict=options.get("strict", False))
        job.skip("a.mp4", "it holds \x1b[31mno picture")
        job.drop(3)
        return job.report()

    monkeypatch.setattr("agent_core.recording.episodes.import_vpt", import_nothing)
    monkeypatch.setattr("agent_core.recording.episodes.detect_format", lambda _: "vpt")
    argv = ("episodes", "import", tmp_path, "--out", tmp_path / "out")
    code, report, err = run(capsys, *argv)
    assert code == 1
    assert report == {
        "added": 0, "held": 0, "skipped": [{"source": "a.mp4", "why": "it holds \x1b[31mno picture"}],
        "dropped": 3, "clipped": 0.0, "episodes": 0, "out": str(tmp_path / "out"),
    }  # fmt: skip
    assert err == "skipped a.mp4: it holds \\x1b[31mno picture\n"
    code, report, err = run(capsys, *argv, "--strict")
    assert (code, report) == (2, None)
    assert err.startswith("iafm: a.mp4: it holds")


def test_tables_are_for_people(tmp_path: Path, capsys: Capsys) -> None:
    record(tmp_path, 0, instruction="walk\non [bold]", task="走", author="x")
    (episode,) = open_episodes(tmp_path)
    unfinished = episode.header.model_copy(update={"success": None})
    with CaptureWriter.create(tmp_path, SPEC, unfinished, disk_needed=0) as capture:
        capture.step(episode.frames(0, 1)[0], {})
    assert main(["episodes", "list", str(tmp_path)]) == 0
    head, *lines, total = capsys.readouterr().out.splitlines()
    assert re.split(r"\s\s+", head) == [
        *("recorded", "length", "size", "game", "task", "actor", "success", "instruction")
    ]
    (cells,) = [re.split(r"\s\s+", line) for line in lines if "unfinished" in line]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", cells[0])
    assert cells[1] == "0:00"
    assert cells[3:] == ["small", "走", "human", "unfinished", "walk on [bold]"]
    assert total.startswith("total: 2 episodes, 7 steps, 0:01, ")
    assert total.endswith("success 100% of 1")
    assert main(["episodes", "stats", str(tmp_path)]) == 0
    assert "100% of 1" in capsys.readouterr().out.splitlines()[1]
    assert main(["episodes", "show", str(tmp_path)]) == 0
    assert "turn right 9°" in capsys.readouterr().out


def test_tables_fit_a_narrow_terminal(
    tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "go to the house behind the hill and wait there until it is dark " * 2
    record(tmp_path, 0, instruction=words.strip(), task="walk_home")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    for action in ("list", "stats", "show", "validate"):
        assert main(["episodes", action, str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("    go to the house") and line.endswith("…") for line in lines)


def test_durations_and_sizes_have_units() -> None:
    assert [duration(s) for s in (0.4, 59.6, 3661)] == ["0:00", "1:00", "61:01"]
    assert [size(n) for n in (0, 999, 1000, 12_345, 999_600, 3_210_000_000)] == [
        *("0 B", "999 B", "1.0 kB", "12 kB", "1.0 MB", "3.2 GB")
    ]


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (("--instruction", "find a cave"), "--instruction counts for recordings of Minecraft only"),
        (("--task", "cave"), "--task counts for recordings of Minecraft only"),
        (("--recorder-version", "6.9"), "--recorder-version counts for recordings of Minecraft"),
        (("--numbers", "1"), "--action-column or --numbers counts for a LeRobot dataset only"),
        (("--camera", "front"), "--camera counts for a LeRobot dataset only"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(
    tmp_path: Path, capsys: Capsys, option: tuple[str, str], reason: str
) -> None:
    (tmp_path / "captions.jsonl").write_text('{"video": "a.mp4", "text": "x"}\n')
    assert main(["episodes", "import", str(tmp_path), "--out", str(tmp_path / "out"), *option]) == 2
    assert reason in capsys.readouterr().err

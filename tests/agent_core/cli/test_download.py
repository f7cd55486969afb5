"""The command `episodes download`: what it says and asks, its report, and mistakes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_core.__main__ import main
from agent_core.bench.crash.kills import wait_for
from agent_core.cli import episodes as command
from tests.recorder.formats.faulty_server import Fault, FaultyServer, Served, faulty_server

ROOT = Path(__file__).parents[3]
NAMES = [f"data/6.{version}/play-{k}" for version in (9, 13) for k in range(2)]
LINES, VIDEO = b"{}\n" * 10, b"mp4 " * 500
PAIR = len(LINES) + len(VIDEO)


@pytest.fixture(scope="module")
def running() -> Iterator[FaultyServer]:
    with faulty_server() as server:
        yield server


@pytest.fixture
def server(running: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> FaultyServer:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("recorder.formats.web_file.BACKOFF_S", 0)
    running.files.clear()
    running.faults.clear()
    running.requests.clear()
    for name in NAMES:
        running.files[f"/{name}.jsonl"] = Served(LINES)
        running.files[f"/{name}.mp4"] = Served(VIDEO)
    index = {"basedir": running.url, "relpaths": [f"{name}.mp4" for name in NAMES]}
    running.files["/all.json"] = Served(json.dumps(index).encode())
    return running


def test_the_command(
    server: FaultyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["episodes", "download", server.url + "/all.json", "--out", str(tmp_path / "out"), "--limit-gb"]  # fmt: skip
    argv += ["0.0000045", "--match", "data/*", "--json"]
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "2 recordings of 0.00 GB go to" in err
    assert "2 more are beyond --limit-gb" in err
    assert err.endswith("nobody can be asked here; --yes begins\n")
    assert not (tmp_path / "out").exists()
    for added, size in ((2, 2 * PAIR), (0, 0)):
        assert main([*argv, "--yes"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report == {
            **{"added": added, "held": 2 - added, "skipped": [], "left_out": 2},
            **{"bytes": size, "out": str(tmp_path / "out")},
        }
    del server.files["/data/6.13/play-1.mp4"]
    assert main([*argv, "--yes", "--limit-gb", "1"]) == 1
    assert [s["source"] for s in json.loads(capsys.readouterr().out)["skipped"]] == ["6.13/play-1"]


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["download", "nothing.json"], "nothing.json cannot be read"),
        (["download", "ftp://127.0.0.1/a.json"], "no address that begins with http"),
        (["list", "https://127.0.0.1/a.json"], "list takes a folder"),
    ],
)
def test_mistakes_at_the_command(
    argv: list[str], why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["episodes", *argv, "--out", str(tmp_path / "out")]) == 2
    assert why in capsys.readouterr().err


def test_no_recording_matches(
    server: FaultyServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    argv = ["download", server.url + "/all.json", "--match", "7.", "--out", str(tmp_path / "out")]
    assert main(["episodes", *argv]) == 2
    assert "no recording like '7.'" in capsys.readouterr().err


def test_ctrl_c_at_the_command(
    server: FaultyServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.Rate, "__call__", stop)
    argv = ["episodes", "download", server.url + "/all.json", "--out", str(tmp_path), "--yes"]
    assert main(argv) == 130
    assert "the same command goes on from here" in capsys.readouterr().err


@pytest.mark.slow  # a process of its own
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_command_goes_on(
    server: FaultyServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    path, is_over = "/data/6.9/play-0.mp4", threading.Event()
    server.faults[path] = [Fault(on="HEAD"), Fault(cut=700, stall=is_over)]
    argv = ["episodes", "download", server.url + "/all.json", "--out", str(tmp_path), "--yes"]
    process = subprocess.Popen([sys.executable, "-m", "agent_core", *argv], cwd=ROOT)
    part = tmp_path / "6.9/play-0.mp4.part"
    try:
        wait_for(lambda: part.exists() and part.stat().st_size == 700)
        process.send_signal(number)
        assert process.wait(30) == (130 if number == signal.SIGINT else -number)
    finally:
        process.kill()
        process.wait()
        is_over.set()
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == 4
    assert ("GET", path, "bytes=700-") in server.requests
    assert part.with_suffix("").read_bytes() == VIDEO


def test_the_rate() -> None:
    now, notes = [0.0], []
    rate = command.Rate(lambda done, total, note: notes.append((done, note)), lambda: now[0])
    for seconds, done in ((0.0, 1e9), (10.0, 2e9)):
        now[0] = seconds
        rate(done, 8e9, "6.9/a")
    assert notes == [
        (0.125, "1.00 of 8.00 GB, 0.0 MB/s, 6.9/a"),
        (0.25, "2.00 of 8.00 GB, 100.0 MB/s, 1 min left, 6.9/a"),
    ]

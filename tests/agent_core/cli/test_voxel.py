"""Command `voxel`: its two answers, and the user's mistakes."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent_core.__main__ import main, parser
from bridges.malmo.world import DETAIL, DETAILS

ROOT = Path(__file__).parents[3]


def test_the_launcher_is_written_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["voxel", "--malmo-launcher", str(tmp_path), "--json"]) == 0
    folder = Path(json.loads(capsys.readouterr().out)["minecraft_dir"])
    assert os.access(folder / "launchClient.sh", os.X_OK)
    assert main(["voxel", "--malmo-launcher", str(tmp_path)]) == 0
    assert repr(str(folder)) in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["--malmo-port", "70000"], ["--malmo-port", "1", "--malmo-launcher", "x"]]
)
def test_a_wrong_command_line_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["voxel", *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_choices_of_detail_are_the_worlds() -> None:
    for detail in DETAILS:
        args = ["voxel", "--malmo-port", "1", "--detail", str(detail)]
        assert parser().parse_args(args).detail == detail
    assert parser().parse_args(["voxel", "--malmo-port", "1"]).detail == DETAIL


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["voxel", "--malmo-port", str(port)]) == 2
    assert f"cannot listen at port {port}: Address already in use; " in capsys.readouterr().err


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_says_what_minerl_waits_for_and_ends_when_told(how: signal.Signals) -> None:
    command = [sys.executable, "-m", "agent_core", "voxel", "--malmo-port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition("port ")[2])
            assert process.stdout.readline() == "CLIENT enter state: DORMANT\n"
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
            process.send_signal(how)
            assert process.wait(10) == 0
        finally:
            process.kill()

"""Launcher: the script that MineRL starts, with what it is given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridges.malmo.launcher import NAME, write_launcher

ECHO = '#!/bin/sh\necho "$PYTHONPATH|$*"\n'


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ("-port 9123 -env -runDir run -replaceable", "--malmo-port 9123"),
        ("-port 9123 -env -runDir r -performanceDir p -seed 5,6", "--malmo-port 9123 --seed 5"),
        ("-port 9123 -env -runDir r -seed -8,9 -replaceable", "--malmo-port 9123 --seed 8"),
        ("-port 9123 -env -runDir r -maxMem 4G -seed 7", "--malmo-port 9123 --seed 7"),
    ],
)
def test_the_script_passes_on_port_and_seed(tmp_path: Path, arguments: str, command: str) -> None:
    python = tmp_path / "a python"  # with a blank in its path
    python.write_text(ECHO)
    python.chmod(0o755)
    folder = write_launcher(tmp_path / "it's here", str(python))
    done = subprocess.run(
        [str(folder / NAME), *arguments.split()],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "before"},
    )
    packages, _, words = done.stdout.strip().partition("|")
    assert words == f"-m agent_core voxel {command}"
    assert packages.split(os.pathsep) == [str(Path(__file__).parents[3]), "before"]


def test_the_folder_may_be_written_again(tmp_path: Path) -> None:
    write_launcher(tmp_path, "old")
    script = write_launcher(tmp_path) / NAME
    assert sys.executable in script.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["Minecraft"]

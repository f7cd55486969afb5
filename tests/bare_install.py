"""A bare install at work: no torch, `iafm serve --policy random` answers a client, model commands say what is missing.

Run by `.ci/run` with the Python of an environment into which `pip install .` put nothing but the base dependencies:

    python3 -m venv bare && bare/bin/pip install . && bare/bin/python tests/bare_install.py
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bridges.client import connect
from games.voxel.spec import SPEC
from recorder import open_episodes

IAFM = str(Path(sys.executable).with_name("iafm"))
AGENT_EXTRA = ("torch", "safetensors", "tokenizers", "sacrebleu", "matplotlib", "tensorboard")
MODEL_COMMANDS = (["demo", "--headless"], ["evaluate"], ["train"], ["bench", "infer"])


def check_nothing_heavy_is_there() -> None:
    present = [name for name in AGENT_EXTRA if importlib.util.find_spec(name)]
    assert not present, f"installed without being asked for: {present}"


def check_model_commands_name_the_extra() -> None:
    for command in MODEL_COMMANDS:
        done = subprocess.run([IAFM, *command], capture_output=True, text=True, check=False)
        lines = done.stderr.strip().splitlines()
        assert done.returncode == 2, (command, done)
        assert len(lines) == 1, (command, done)
        assert "iafm[agent]" in lines[0], (command, done)


def check_the_doctor_says_what_is_not_there() -> None:
    done = subprocess.run([IAFM, "doctor"], capture_output=True, text=True, check=False)
    assert "not installed; pip install 'iafm[agent]' brings it" in done.stdout, done


def check_an_expert_is_recorded() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/voxel"
        play = ["record", "voxel", "--expert", "--episodes", "1", "--tasks", "dig_down"]
        for command in ([*play, "--out", out], ["episodes", "validate", out]):
            done = subprocess.run([IAFM, *command], capture_output=True, text=True, check=False)
            assert done.returncode == 0, (command, done)
        assert len(open_episodes(Path(out))) == 1


def check_a_random_policy_answers() -> None:
    command = [IAFM, "serve", "--policy", "random", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            url = next(word for line in server.stderr for word in line.split() if "ws://" in word)
            with connect(url.rstrip(","), SPEC) as client:
                frame = np.zeros((SPEC.frame.height, SPEC.frame.width, 3), np.uint8)
                assert client.act(frame).action.keys() == SPEC.null_action().keys()
        finally:
            server.terminate()


if __name__ == "__main__":
    check_nothing_heavy_is_there()
    check_model_commands_name_the_extra()
    check_the_doctor_says_what_is_not_there()
    check_an_expert_is_recorded()
    check_a_random_policy_answers()
    print("bare install: 5 passed, 0 failed")

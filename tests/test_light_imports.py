"""Light imports: what the command's help and the commands without a model load, and what they say without the extra."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pydantic", "cv2", "av", "pyarrow", "gymnasium", "websockets", "pygame")
AGENT_EXTRA = ("torch", "safetensors", "tokenizers", "sacrebleu", "matplotlib", "tensorboard")

HELP = """
import sys
from agent_core.__main__ import main

try:
    main(["--help"])
except SystemExit:
    pass
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""

WITHOUT = """
import sys

for name in {missing!r}:
    sys.modules[name] = None  # as if it were not installed

from agent_core.__main__ import main

sys.exit(main({argv!r}))
"""


SERVE = """
import sys
import bridges.serving.run

bridges.serving.run.run = lambda *_: None
from agent_core.__main__ import main

code = main(["serve", "--policy", "none", "--record", "nowhere", "--port", "0"])
print(code, "recorder" in sys.modules, [name for name in {heavy!r} if name in sys.modules])
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_loads_nothing_heavy() -> None:
    done = run(HELP.format(heavy=HEAVY))
    assert "usage: iafm" in done.stdout
    assert done.stderr.strip() == "[]"


def test_a_server_that_only_records_loads_no_model() -> None:
    assert run(SERVE.format(heavy=AGENT_EXTRA)).stdout.strip() == "0 True []"


@pytest.mark.parametrize(
    "argv",
    [
        ["games"],
        ["games", "voxel"],
        ["check", "frozen-lake"],
        ["doctor"],
        ["episodes", "list", "nowhere"],
    ],
    ids=" ".join,
)
def test_commands_without_a_model_need_no_torch(argv: list[str]) -> None:
    done = run(WITHOUT.format(missing=AGENT_EXTRA, argv=argv))
    assert "iafm[agent]" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "argv",
    [
        ["demo", "--headless"],
        ["serve"],
        ["train"],
        ["evaluate"],
        ["bench", "infer"],
        ["describe", "a.mp4", "--checkpoint", "here"],
    ],
    ids=" ".join,
)
def test_model_commands_name_the_extra_in_one_line(argv: list[str]) -> None:
    done = run(WITHOUT.format(missing=AGENT_EXTRA, argv=argv))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("iafm: ")
    assert "pip install 'iafm[agent]'" in line

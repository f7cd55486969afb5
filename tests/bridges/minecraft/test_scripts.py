"""Scripts of a live player that need nothing but Node: terrain, aim, tasks, chat, messages."""

import subprocess
from pathlib import Path

import pytest

from bridges.minecraft.packages import find_node

SCRIPT = Path(__file__).parent / "scripts.test.mjs"


@pytest.mark.node
def test_the_scripts_pure_parts() -> None:
    done = subprocess.run(
        [find_node(), "--test", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout

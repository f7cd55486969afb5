"""The README tells the truth: its commands exist, its Python runs, its tree is the tree."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agent_core.__main__ import parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PROTOCOL = (ROOT / "bridges" / "PROTOCOL.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)
COMMANDS = [
    line.split("#")[0].strip()
    for kind, block in BLOCKS
    if kind == "bash"
    for line in block.replace("\\\n", " ").splitlines()
    if "iafm " in line
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line):
    for part in re.split(r"&&|\|", line):
        words = shlex.split(part)
        if words and words[0].endswith("iafm"):
            parser().parse_args(words[1:])


def test_the_python_block_attaches_a_game():
    (block,) = [block for kind, block in BLOCKS if kind == "python"]
    around = """
import asyncio
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer

async def main():
    async with BridgeServer(RandomPolicy(), port=0) as server:
        await asyncio.to_thread(run, server.url)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", block + around], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "go" in done.stdout


def test_there_are_commands_to_check():
    assert len(COMMANDS) >= 8


def test_the_test_command_is_what_ci_runs():
    commands = [line for kind, block in BLOCKS if kind == "bash" for line in block.splitlines()]
    (ci,) = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if ".[dev]" in line]
    assert ci in commands


def paths_of_tree(tree: str) -> set[Path]:
    """Every path that an indented tree names."""
    paths: set[Path] = set()
    parents: list[str] = []
    for line in tree.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name.rstrip("/")]
        paths.add(Path(*parents))
    return paths


def test_the_tree_is_the_tree():
    (tree,) = [block for kind, block in BLOCKS if kind == "text" and "agent_core/" in block]
    git = ["git", "ls-files", "agent_core", "bridges", "games", "recorder", "examples"]
    tracked = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {folder for name in tracked.split() for folder in Path(name).parents} - {Path()}
    shipped = {f for f in folders if f.parent == Path("agent_core/checkpoints")}
    named = paths_of_tree(tree)
    assert folders - shipped <= named, "folders are missing in the README's tree"
    assert named <= folders | {Path(name) for name in tracked.split()}


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(example):
    done = subprocess.run(
        [sys.executable, str(example), "--demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_protocol_examples_are_real_messages():
    import json

    from bridges.protocol.messages import from_client, from_server

    examples = re.findall(r"```json (client|server)\n(.*?)```", PROTOCOL, re.S)
    assert len(examples) >= 8
    for side, text in examples:
        message = (from_client if side == "client" else from_server)(text)
        assert message is not None
        assert message.type == json.loads(text)["type"]

"""The genuine package minerl against the block world, each in a process of its own.

`IAFM_MINERL_PYTHON` names a Python that has minerl; without it the one that runs the tests is taken.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bridges.malmo.launcher import write_launcher
from tests.bridges.malmo.woodcutter import chop

pytestmark = pytest.mark.minerl

ROOT = Path(__file__).parents[3]
CLIENT = Path(__file__).with_name("minerl_client.py")
PYTHON = os.environ.get("IAFM_MINERL_PYTHON", sys.executable)
SEED = 1


@contextmanager
def voxel() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The block world's process and its port."""
    command = [sys.executable, "-m", "agent_core", "voxel", "--malmo-port", "0", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["port"]
        finally:
            process.kill()


@contextmanager
def minerl(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A client of minerl that plays; `folder` gets minerl's own logs."""
    command = [PYTHON, "-W", "ignore", str(CLIENT), *map(str, arguments)]
    log = (folder / "client.log").open("w")
    with (
        log,
        subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True
        ) as client,
    ):
        try:
            yield client
        finally:
            client.kill()


def report_of(client: subprocess.Popen[str], timeout_s: float = 240) -> dict[str, Any]:
    """What a client printed at its end."""
    out, _ = client.communicate(timeout=timeout_s)
    assert client.returncode == 0, out
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    return report


def test_treechop_is_played_through_minerl(tmp_path: Path) -> None:
    steps = chop(SEED, logs=3)
    actions = tmp_path / "actions.json"
    actions.write_text(json.dumps([action for action, _ in steps]))
    with voxel() as (_, port), minerl(
        tmp_path, "--port", port, "--seed", SEED, "--actions", actions, "--steps", 1000,
        "--episodes", 2,
    ) as client:  # fmt: skip
        report = report_of(client)
    rewards = [[i, logs] for i, (_, logs) in enumerate(steps) if logs]
    first, second = report["episodes"]
    assert first["rewards"] == second["rewards"] == rewards  # at the very steps of the expert
    assert (first["shape"], first["steps"], first["done"]) == ([64, 64, 3], 1000, False)
    assert (first["first"], first["last"]) == (second["first"], second["last"])
    assert first["first"] != first["last"]
    assert first["error"] is None


@pytest.mark.parametrize(
    ("env", "seen"),
    [
        ("MineRLNavigateDense-v0", "compass"),
        ("MineRLObtainDiamond-v0", "equipped_items"),
        ("MineRLTreechopVectorObf-v0", "vector"),
        ("MineRLBasaltFindCave-v0", "inventory"),
        ("MineRLBasaltBuildVillageHouse-v0", "inventory"),
    ],
)
def test_every_kind_of_environment_takes_random_actions(
    tmp_path: Path, env: str, seen: str
) -> None:
    with voxel() as (_, port), minerl(
        tmp_path, "--port", port, "--env", env, "--steps", 100, "--random", "--episodes", 2
    ) as client:  # fmt: skip
        report = report_of(client)
    for episode in report["episodes"]:
        assert seen in episode["observation"]
        assert episode["error"] is None
        assert episode["steps"] >= 2
        if "Basalt" in env:  # whose wrapper looks for the snowball in every observation
            assert "'snowball': array(1)" in episode["observation"]["inventory"]


def test_pictures_of_another_size(tmp_path: Path) -> None:
    with voxel() as (_, port), minerl(
        tmp_path, "--port", port, "--size", "640x360", "--steps", 5
    ) as client:  # fmt: skip
        (episode,) = report_of(client)["episodes"]
    assert (episode["shape"], episode["steps"]) == ([360, 640, 3], 5)


@pytest.mark.parametrize("launched", [False, True])
def test_two_agents_play_together(tmp_path: Path, launched: bool) -> None:
    steps = chop(SEED, logs=1)
    actions = tmp_path / "actions.json"
    actions.write_text(json.dumps([action for action, _ in steps]))
    folder = write_launcher(tmp_path / "launcher")
    with voxel() as (_, port):
        where = ("--minecraft-dir", folder) if launched else ("--port", port)
        with minerl(
            tmp_path, *where, "--agents", 2, "--seed", SEED, "--steps", 60, "--actions", actions
        ) as client:  # fmt: skip
            (episode,) = report_of(client)["episodes"]
    assert episode["rewards"] == [[len(steps) - 1, 1.0]]
    assert (episode["steps"], episode["error"]) == (60, None)


def test_the_death_of_the_world_is_an_error_of_minerl(tmp_path: Path) -> None:
    with voxel() as (process, port), minerl(
        tmp_path, "--port", port, "--announce", 50
    ) as client:  # fmt: skip
        assert client.stdout is not None
        assert client.stdout.readline() == "announced\n"
        process.kill()
        (episode,) = report_of(client, timeout_s=30)["episodes"]
    assert episode["done"]
    assert episode["error"] == "Connection timed out!"
    assert 50 <= episode["steps"] <= 1000
    assert "Failed to take a step" in (tmp_path / "client.log").read_text()


def test_minerl_starts_and_ends_the_world_itself(tmp_path: Path) -> None:
    folder = write_launcher(tmp_path / "launcher")
    with minerl(tmp_path, "--minecraft-dir", folder, "--steps", 20) as client:
        report = report_of(client)
    assert report["episodes"][0]["steps"] == 20
    (pid,) = report["pids"]
    assert not Path(f"/proc/{pid}").exists()

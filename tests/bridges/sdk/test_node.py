"""The JavaScript SDK in Node: its tests, what it records, its build, its package, and the blocks of its page."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from recorder import Episode, Tap, validate

pytestmark = pytest.mark.node
SDK = Path(__file__).parents[3] / "bridges" / "sdk" / "js"
NODE = ("node", "--experimental-websocket", "--no-warnings")
"""Node 20 has a `WebSocket` behind this option; later ones have it anyway."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Path]]:
    """The addresses of a server that records, and of one with a token; and where the first records."""
    folder = tmp_path_factory.mktemp("recorded")
    with (
        background_server(RandomPolicy(), listeners=[Tap(folder)]) as server,
        background_server(RandomPolicy(), token="secret") as guarded,
    ):
        yield {"IAFM_URL": server.url, "IAFM_GUARDED_URL": guarded.url}, folder


def run(*command: str, cwd: Path = SDK, **variables: str) -> str:
    """The output of a program that ends well."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, (
        "\n".join(re.split(r"^(?=not ok)", done.stdout, flags=re.M)[1:]) + done.stderr
    )
    return done.stdout


def test_its_own_tests(servers: tuple[dict[str, str], Path]) -> None:
    addresses, folder = servers
    files = sorted(str(path) for path in (SDK / "test").glob("*.test.mjs"))
    output = run(*NODE, "--test", *files, **addresses)
    assert int(re.findall(r"^# pass (\d+)$", output, re.M)[0]) >= 120
    (name,) = re.findall(r"recorded (\w+)", output)
    episode = Episode.open(folder / name)
    assert not validate(episode)
    assert [action["fire"] for action in episode.actions] == [i % 2 for i in range(150)]
    brightness = episode.frames().reshape(150, -1).mean(axis=1)
    assert [abs(value - i) < 4 for i, value in enumerate(brightness)] == [True] * 150
    assert episode.header.success is True

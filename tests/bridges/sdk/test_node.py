"""The JavaScript SDK in Node: its tests, what it records, its build, its package, and the blocks of its page."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from recorder import Episode, Tap, open_episodes, validate

pytestmark = pytest.mark.node
SDK = Path(__file__).parents[3] / "bridges" / "sdk" / "js"
NODE = ("node", "--experimental-websocket", "--no-warnings")
"""Node 20 has a `WebSocket` behind this option; later ones have it anyway."""


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """The addresses of a server that records in a folder, and of one with a token."""
    with (
        background_server(RandomPolicy(), listeners=[Tap(folder)]) as server,
        background_server(RandomPolicy(), token="secret") as guarded,
    ):
        yield {"IAFM_URL": server.url, "IAFM_GUARDED_URL": guarded.url}


def run(*command: str, cwd: Path = SDK, variables: Mapping[str, str] = {}) -> str:
    """The output of a program that ends well."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, (
        "\n".join(re.split(r"^(?=not ok)", done.stdout, flags=re.M)[1:]) + done.stderr
    )
    return done.stdout


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the tests in Node print, and where the server recorded."""
    folder = tmp_path_factory.mktemp("recorded")
    files = sorted(str(path) for path in (SDK / "test").glob("*.test.mjs"))
    with servers(folder) as addresses:
        return run(*NODE, "--test", *files, variables=addresses), folder


def test_its_own_tests(outcome: tuple[str, Path]) -> None:
    output, _ = outcome
    assert int(re.findall(r"^# pass (\d+)$", output, re.M)[0]) >= 120
    assert "# skipped 0" in output


def test_what_a_person_played_is_on_disk_as_it_was_sent(outcome: tuple[str, Path]) -> None:
    output, folder = outcome
    (name,) = re.findall(r"recorded (\w+)", output)
    episode = Episode.open(folder / name)
    assert not validate(episode)
    assert [action["fire"] for action in episode.actions] == [i % 2 for i in range(150)]
    brightness = episode.frames().reshape(150, -1).mean(axis=1)
    assert [abs(value - i) < 4 for i, value in enumerate(brightness)] == [True] * 150
    assert episode.header.success is True


def test_no_text_was_lost_or_came_twice_over_cut_connections(outcome: tuple[str, Path]) -> None:
    _, folder = outcome
    (episode,) = (e for e in open_episodes(folder) if e.header.instruction == "be cut")
    said = [text.text for text in episode.all_texts if text.text.startswith("word")]
    assert said == [f"word {i}" for i in range(60)]
    assert len(episode) + sum(episode.dropped_before.values()) <= 60
    assert episode.header.success is True


@pytest.fixture
def compiler() -> Path:
    """TypeScript's compiler."""
    path = SDK / "node_modules" / "typescript" / "bin" / "tsc"
    if not path.is_file():
        pytest.skip(f"npm ci --prefix {SDK}")
    return path


def test_the_built_modules_are_those_of_the_source(compiler: Path, tmp_path: Path) -> None:
    run("node", str(compiler), "--outDir", str(tmp_path))
    built, committed = (
        {path.name: path.read_text() for path in folder.iterdir()}
        for folder in (tmp_path, SDK / "dist")
    )
    assert built == committed, "npm run build"


def test_the_package_holds_the_modules_and_works_with_types(compiler: Path, tmp_path: Path) -> None:
    packed = json.loads(run("npm", "pack", "--json", "--pack-destination", str(tmp_path)))[0]
    modules = {f"dist/{path.name}" for path in (SDK / "dist").iterdir()}
    assert {file["path"] for file in packed["files"]} == modules | {
        "LICENSE", "README.md", "package.json"
    }  # fmt: skip
    user = tmp_path / "user"
    user.mkdir()
    (user / "package.json").write_text('{"type": "module"}')
    tarball = str(tmp_path / packed["filename"])
    run("npm", "install", "--offline", "--no-audit", "--no-fund", tarball, cwd=user)
    (user / "game.ts").write_text(TYPED)
    strict = ["--strict", "--target", "es2022", "--lib", "es2022,dom", "--noEmit"]
    for module in ("nodenext", "esnext"):
        resolution = "nodenext" if module == "nodenext" else "bundler"
        options = [*strict, "--module", module, "--moduleResolution", resolution, "game.ts"]
        run("node", str(compiler), *options, cwd=user)
    script = 'import { nullAction } from "iafm-bridge"; console.log(typeof nullAction)'
    assert run("node", "--input-type=module", "-e", script, cwd=user) == "function\n"


TYPED = """
import { connect, record, type Act, type GameSpec, type Owner, type RecordState } from "iafm-bridge";

const spec: GameSpec = {
  id: "a-v0", title: "", frame: { height: 8, width: 8 }, step_hz: 1,
  controls: [{ kind: "button", name: "go" }],
};
const game = await connect("h", { spec });
const act: Act = await game.act(document.createElement("canvas"), { reward: 1 });
const owner: Owner = game.owner();
const state: RecordState = await (await record("h", { spec })).end();
console.log(act.later[0]?.words, owner, state.sha256);
// @ts-expect-error
game.control("nobody");
// @ts-expect-error
await connect("h", {});
// @ts-expect-error
game.event({ reward: "1" });
"""
PAGE = (SDK / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```js\n(.*?)^```", PAGE, re.M | re.S)


def test_the_page_has_blocks_for_node() -> None:
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_the_page_runs(block: str, tmp_path: Path) -> None:
    installed = tmp_path / "node_modules" / "iafm-bridge"
    installed.parent.mkdir()
    installed.symlink_to(SDK)
    assert "ws://127.0.0.1:8765" in block
    with servers(tmp_path / "recorded") as addresses:
        code = block.replace("ws://127.0.0.1:8765", addresses["IAFM_URL"])
        (tmp_path / "block.mjs").write_text(code)
        assert run(*NODE, "block.mjs", cwd=tmp_path).strip()

"""Markdown files: commands that parse, Python that runs, trees and links that match the repository."""

import json
import re
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from agent_core.__main__ import parser
from agent_core.cli.compare import RECIPE
from agent_core.config import load_config
from agent_core.evaluation.comparison.recipe import load_recipe
from agent_core.evaluation.plan import CONDITIONS
from bridges.console import screenshot
from bridges.minecraft.tasks import TASKS as LIVE_TASKS
from bridges.protocol.messages import from_client, from_server
from examples import gems, loop
from games.brawl import replays, tournament, trials
from games.registry import load, names

ROOT = Path(__file__).parent.parent
GIT = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
FILES = {
    path
    for name in subprocess.run(
        GIT, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if (ROOT / (path := Path(name))).is_file()
}
FOLDERS = {folder for path in FILES for folder in path.parents}
PAGES = {path: (ROOT / path).read_text() for path in sorted(FILES) if path.suffix == ".md"}
README = Path("README.md")

FENCE = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```", re.M | re.S)
"""Fenced blocks, those of lists too."""
SERVED = """
import tempfile
from pathlib import Path

from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from recorder import Tap

with tempfile.TemporaryDirectory() as folder:
    with background_server(RandomPolicy(), listeners=[Tap(Path(folder))]) as server:
        run(server.url)
"""


def blocks(page: Path, info: str) -> list[str]:
    """The fenced blocks of a page that are marked `info`."""
    return [text for mark, text in FENCE.findall(PAGES[page]) if mark.strip() == info]


def lines_of(page: Path) -> Iterator[str]:
    """The command lines of a page's bash blocks, continued lines joined."""
    for block in blocks(page, "bash"):
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines() if line)


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line, from the program on (`CC=false iafm …` begins at `iafm`)."""
    for part in re.split(r"&&|[|&]", line.partition(" #")[0]):
        words = shlex.split(part)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        if words:
            yield words


def arguments(words: list[str]) -> list[str] | None:
    """What `iafm` gets, also by way of `-m agent_core` and `torchrun`; None for another program."""
    if Path(words[0]).name == "iafm":
        return words[1:]
    if words[0] == "torchrun":
        options = get_args_parser().parse_args(words[1:])
        assert (options.module, options.training_script) == (True, "agent_core")
        return list(options.training_script_args)
    if "agent_core" in words and words[words.index("agent_core") - 1] == "-m":
        return words[words.index("agent_core") + 1 :]
    return None


GIVEN = {
    Path(mark.split()[1])
    for text in PAGES.values()
    for mark, _ in FENCE.findall(text)
    if mark.startswith(("python ", "html "))
}
"""Files that a page gives in a block of their own, to be written by its reader."""
COMMANDS = [
    pytest.param(words, id=f"{page}: {' '.join(words)}")
    for page in PAGES
    for line in lines_of(page)
    for words in commands(line)
]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_understood(words: list[str]) -> None:
    argv = arguments(words)
    if argv is not None:
        parser().parse_args(argv)
    elif words[:2] == ["python", "-m"]:
        programs = {
            "bridges.console.screenshot": screenshot,
            "examples.gems": gems,
            "examples.loop": loop,
            "games.brawl.replays": replays,
            "games.brawl.tournament": tournament,
            "games.brawl.trials": trials,
        }
        programs[words[2]].parser().parse_args(words[3:])
    else:
        assert words[0] in {"python", "python3", ".venv/bin/pip", ".venv/bin/python"}
        if words[1].endswith(".py") and Path(words[1]) not in GIVEN:
            script = (ROOT / words[1]).read_text()
            assert all(word in script for word in words[2:] if word.startswith("--"))
    paths = {Path(word) for word in words if Path(word).suffix in {".toml", ".py", ".html"}}
    assert paths - GIVEN <= FILES


@pytest.mark.parametrize("words", COMMANDS)
def test_every_game_task_and_setting_of_a_command_is_there(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    argv = arguments(words)
    args = parser().parse_args(argv) if argv else Namespace(command="")
    if args.command == "train":
        config = args.config or (ROOT / "agent_core/recipes/own-game.toml" if args.game else None)
        load_config(config, args.set)
    elif args.command == "compare":
        load_recipe(args.recipe or RECIPE, args.set)
    elif args.command in {"record", "evaluate"} and args.game in names():
        known = LIVE_TASKS if args.game == "minecraft" else load(args.game).tasks
        assert set(args.tasks or ()) <= set(known)
        assert set(getattr(args, "conditions", None) or ()) <= set(CONDITIONS)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_in_a_sentence_is_understood(page: Path) -> None:
    prose = FENCE.sub("", PAGES[page])
    for line in re.findall(r"`(iafm [^`…]+)`", prose):
        parser().parse_args(shlex.split(line)[1:])


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) >= 40


def test_the_test_command_is_what_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    (installs_and_tests,) = [line for line in ci if ".[dev]" in line]
    assert installs_and_tests in list(lines_of(README))


def test_the_readme_is_two_screens() -> None:
    assert len(PAGES[README].splitlines()) <= 110


PYTHON = [(page, block) for page in PAGES for block in blocks(page, "python")]


@pytest.mark.parametrize(("page", "block"), PYTHON, ids=lambda value: str(value)[:20])
def test_python_blocks_run(page: Path, block: str) -> None:
    code = block + (SERVED if "def run(url" in block else "")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if "print(" in block:
        assert done.stdout.strip()


def test_there_are_python_blocks() -> None:
    assert {page for page, _ in PYTHON} >= {Path("bridges/README.md"), Path("games/README.md")}


def paths_of_tree(tree: str) -> set[Path]:
    """Every path that an indented tree names."""
    paths: set[Path] = set()
    parents: list[str] = []
    for line in tree.splitlines():
        name, phrase = line.split(maxsplit=1)
        assert phrase
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name.rstrip("/")]
        paths.add(Path(*parents))
    return paths


def test_the_readme_names_every_folder_directly_in_a_package() -> None:
    """What lies below is named by the package's page."""
    (tree,) = blocks(README, "text tree")
    packages = ("agent_core", "bridges", "games", "recorder", "examples")
    expected = {f for f in FOLDERS if f.parts and f.parts[0] in packages and len(f.parts) <= 2}
    assert sorted(expected - paths_of_tree(tree)) == [], "not in the README's tree"
    assert sorted(paths_of_tree(tree) - expected) == [], "in the README's tree only"


@pytest.mark.parametrize(
    "folder", ["agent_core", "agent_core/cpu/kernels", "bridges", "games", "recorder"]
)
def test_a_package_page_names_every_file_below_it(folder: str) -> None:
    top = Path(folder)
    (tree,) = blocks(top / "README.md", "text tree")
    deeper = {
        page.parent for page in PAGES if page.name == "README.md" and top in page.parent.parents
    }
    below = {path for path in FILES | FOLDERS if top in path.parents}
    below -= {path for path in below if deeper & set(path.parents)}  # named by a page of their own
    left_out = {path for path in below if path.name in {"__init__.py", "README.md"}}
    named = {top / path for path in paths_of_tree(tree)}
    assert sorted(below - left_out - named) == [], "not in the page's tree"
    assert sorted(named - below) == [], "in the page's tree only"


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The files or folders of the repository that a page links to, each with its anchor or ""."""
    prose = FENCE.sub("", PAGES[page])
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"[a-z]+:", target):
            name, _, anchor = target.partition("#")
            path = (ROOT / page.parent / name).resolve().relative_to(ROOT) if name else page
            yield path, anchor


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", PAGES[page]), re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in plain}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        assert path in FILES | FOLDERS, f"{page} links to {path}, which is not there"
        if anchor:
            assert anchor in anchors(path), f"{path} has no heading #{anchor}"


def test_every_page_is_reachable_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = {README}
    while waiting:
        page = waiting.pop()
        reached.add(page)
        waiting |= {path for path, _ in links(page) if path in PAGES} - reached
    assert reached == set(PAGES)


EXAMPLES = sorted(set((ROOT / "examples").glob("*.py")) - {ROOT / "examples/loop.py"})
"""loop.py trains: see tests/examples/test_loop.py."""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_examples_run(example: Path) -> None:
    if example.stem == "babyai":
        pytest.importorskip("minigrid")
    done = subprocess.run(
        [sys.executable, str(example), "--demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_protocol_examples_are_real_messages() -> None:
    protocol = Path("bridges/PROTOCOL.md")
    examples = {"client": from_client, "server": from_server}
    texts = [(side, text) for side in examples for text in blocks(protocol, f"json {side}")]
    assert len(texts) >= 8
    for side, text in texts:
        message = examples[side](text)
        assert message is not None
        assert message.type == json.loads(text)["type"]

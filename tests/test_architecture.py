"""Import arrows between packages and between their layers, no circles, and the shape of folders and files."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "games": set(),
    "bridges": {"games"},
    "recorder": {"games"},
    "agent_core": {"games", "bridges", "recorder"},
}
LAYERS: dict[str, list[set[str]]] = {
    "agent_core": [
        *({"errors"}, {"presets"}, {"config"}, {"device"}, {"process_pool"}),
        *(
            {"tokens"},
            {"model"},
            {"weights"},
            {"cpu"},
            {"engine"},
            {"agent"},
            {"data"},
        ),
        *({"training"}, {"baseline", "recording"}, {"evaluation"}, {"bench"}, {"cli"}),
        {"__main__"},
    ],
    "recorder": [
        *({"format"}, {"capture", "episodes"}, {"open"}, {"inspection"}),
        *({"formats"}, {"__init__"}),
    ],
    "bridges": [
        *(
            {"errors"},
            {"protocol", "minerl"},
            {"connection"},
            {"reconnect"},
            {"game_client", "async_reconnect"},
        ),
        *(
            {"client", "console_client", "async_client", "record_client"},
            {"play", "replay", "minecraft"},
            {"live_replay"},
        ),
        *({"policy"}, {"listener"}, {"serving"}, {"testing"}, {"console"}, {"malmo"}),
    ],
}
"""Folders and files of a package; each set imports only from the sets before it, its members not from each other."""
UPWARD = {
    # Whether bfloat16 pays in training is for the processor's capabilities to say.
    ("agent_core/device.py", "agent_core.cpu.capability"),
    # A folder of episodes may be a LeRobot dataset, whose importers look up captures here in turn.
    ("recorder/open.py", "recorder.formats.lerobot.reader"),
    ("recorder/inspection.py", "recorder.formats.lerobot.reader"),
}
"""Imports of a later layer, each for the reason above it."""
HEAVY = {"torch", "safetensors", "tokenizers"}
LAZY = ("agent_core/cli/", "agent_core/__main__.py", "agent_core/recording/expert.py")
"""Where parts of our own are imported when they are used: they load torch, or the help would load them."""
MAX_LINES = 400
FILES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))
ALL_FILES = sorted(
    [*FILES, *(path for top in ("tests", "examples") for path in (ROOT / top).rglob("*.py"))]
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> list[tuple[str, bool]]:
    """Modules a file imports, and whether inside a function."""
    tree = ast.parse(path.read_text())
    modules: list[tuple[str, bool]] = []
    inside = {
        id(n)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
        for n in ast.walk(f)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [(alias.name, id(node) in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            modules += [(node.module, id(node) in inside)]
            modules += [(f"{node.module}.{alias.name}", id(node) in inside) for alias in node.names]
    return modules


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_file_keeps_the_arrows(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    for module, lazily in imports(path):
        top = module.partition(".")[0]
        if top in MAY_IMPORT and top != package:
            assert top in MAY_IMPORT[package], f"{package} may not import {module}"
        if top in HEAVY:
            assert package == "agent_core", f"{package} may not import {module}"
        if lazily and top in MAY_IMPORT:
            name = name_of(path)
            assert name.startswith(LAZY), f"{name} imports {module} inside a function"


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or path.is_dir()


def upward_imports(package: str) -> set[tuple[str, str]]:
    """Files of a package and modules that they import from their own or a later set of layers."""
    rank = {layer: k for k, layers in enumerate(LAYERS[package]) for layer in layers}
    upward = set()
    for path in (ROOT / package).rglob("*.py"):
        importer = path.relative_to(ROOT / package).with_suffix("").parts[0]
        for module, _ in imports(path):
            top, _, rest = module.partition(".")
            imported = rest.partition(".")[0]
            if top != package or imported in ("", importer) or imported not in rank:
                continue  # the package itself, or a name that it exports
            if rank[imported] >= rank[importer] and is_module(module):
                upward.add((name_of(path), module))
    return upward


def test_layers_import_only_those_before_them() -> None:
    assert set().union(*map(upward_imports, LAYERS)) == UPWARD


@pytest.mark.parametrize("package", LAYERS)
def test_every_folder_and_file_of_a_package_is_a_layer(package: str) -> None:
    parts = {
        path.relative_to(ROOT / package).with_suffix("").parts[0]
        for path in (ROOT / package).rglob("*.py")
    }
    assert parts - {"__init__"} == set().union(*LAYERS[package]) - {"__init__"}


def test_there_is_no_circle() -> None:
    names = {
        str(p.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__"): p
        for p in FILES
    }
    packages = {name for name, path in names.items() if path.name == "__init__.py"}
    graph = {
        name: {m for m, _ in imports(path) if m in names and m != name and m not in packages}
        for name, path in names.items()
        if name not in packages
    }
    assert list(TopologicalSorter(graph).static_order())


def test_there_are_no_drawers() -> None:
    banned = {"utils", "util", "common", "helpers", "base", "manager", "misc"}
    assert not [p for p in ALL_FILES if p.stem in banned]


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_a_file_begins_with_a_noun_phrase(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert not docstring.splitlines()[0].rstrip().endswith("?")


def test_files_are_short() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in ALL_FILES}
    assert not [name for name, count in lines.items() if count > MAX_LINES]


def test_few_files_lie_directly_in_agent_core() -> None:
    assert len(list((ROOT / "agent_core").glob("*.py"))) <= 8

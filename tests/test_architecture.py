"""The import arrows: who may know whom, and no circles."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "games": set(),
    "bridges": {"games"},
    "recorder": {"games"},
    "agent_core": {"games", "bridges", "recorder"},
}
HEAVY = {"torch", "safetensors", "tokenizers"}
LAZY = ("agent_core/cli/", "agent_core/__main__.py", "agent_core/recording/expert.py")
"""Where parts of our own are imported when they are used: they load torch, or the help would load them."""
FILES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def imports(path: Path, *, nested: bool = True) -> list[tuple[str, bool]]:
    """Modules a file imports, and whether inside a function."""
    tree = ast.parse(path.read_text())
    found = []
    inside = {
        id(n)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
        for n in ast.walk(f)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [(node.module, id(node) in inside)]
            found += [(f"{node.module}.{alias.name}", id(node) in inside) for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_file_keeps_the_arrows(path):
    own = path.relative_to(ROOT).parts[0]
    for module, lazily in imports(path):
        top = module.partition(".")[0]
        if top in MAY_IMPORT and top != own:
            assert top in MAY_IMPORT[own], f"{own} may not import {module}"
        if top in HEAVY:
            assert own == "agent_core", f"{own} may not import {module}"
        if lazily and top in MAY_IMPORT:
            place = str(path.relative_to(ROOT))
            assert place.startswith(LAZY), f"{place} imports {module} inside a function"


def test_there_is_no_circle():
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


def test_there_are_no_drawers():
    banned = {"utils", "util", "common", "helpers", "base", "manager", "misc"}
    assert not [p for p in FILES if p.stem in banned]
    assert all(ast.get_docstring(ast.parse(p.read_text())) for p in FILES)

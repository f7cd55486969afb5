"""The package of the JavaScript SDK, without Node: its page, its license, and what is built."""

import json
import re
from pathlib import Path

SDK = Path(__file__).parents[3] / "bridges" / "sdk" / "js"
PACKAGE = json.loads((SDK / "package.json").read_text())
SOURCES = {path.stem for path in (SDK / "src").glob("*.ts")}


def test_the_page_names_every_source() -> None:
    (tree,) = re.findall(r"```text tree\n(.*?)```", (SDK / "README.md").read_text(), re.S)
    named = set(re.findall(r"^  (\w+)\.ts ", tree, re.M))
    assert named == SOURCES


def test_every_source_is_built_and_nothing_else() -> None:
    built = {path.name for path in (SDK / "dist").iterdir()}
    assert built == {f"{name}{suffix}" for name in SOURCES for suffix in (".js", ".d.ts")}


def test_it_depends_on_nothing_and_has_the_projects_license() -> None:
    assert "dependencies" not in PACKAGE
    assert set(PACKAGE["devDependencies"]) == {"typescript"}
    assert (SDK / "LICENSE").read_text() == (SDK.parents[2] / "LICENSE").read_text()


def test_it_names_its_version_on_the_wire() -> None:
    (version,) = re.findall(r'SDK = "iafm-js ([\d.]+)"', (SDK / "src" / "client.ts").read_text())
    assert PACKAGE["version"].startswith(f"{version}.")


def test_modules_are_short() -> None:
    for path in (SDK / "src").glob("*.ts"):
        lines = path.read_text().splitlines()
        assert len(lines) <= 400
        assert lines[0].startswith("/**")
        assert max(map(len, lines)) <= 120

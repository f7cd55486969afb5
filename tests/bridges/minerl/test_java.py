"""What MineRL's Java side needs, as the doctor reports it."""

from pathlib import Path

import pytest

from bridges.minerl import java


def script(folder: Path, name: str, line: str) -> None:
    """A program that prints a line."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{line}' >&2\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("line", "is_met", "detail"),
    [
        ("javac 1.8.0_412", True, "javac 1.8.0_412 in"),
        ("javac 17.0.2", False, "javac is 17.0.2: install a JDK 8"),
        ("", False, "there is no javac: install a JDK 8"),
    ],
)
def test_the_jdk_is_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, is_met: bool, detail: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if line:
        script(tmp_path, "javac", line)
    need = java.jdk()
    assert need.is_met is is_met
    assert detail in need.detail


def test_a_display_or_xvfb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert java.display({"DISPLAY": ":0"}).is_met
    assert "install xvfb" in java.display({}).detail
    script(tmp_path, "xvfb-run", "")
    assert not java.display({}).is_met
    assert "MINERL_HEADLESS=1" in java.display({}).detail
    assert java.display({"MINERL_HEADLESS": "1"}).is_met


@pytest.mark.parametrize("jar", java.JARS)
def test_minecraft_is_built_by_gradle(tmp_path: Path, jar: str) -> None:
    assert "not built" in java.minecraft(tmp_path).detail
    (tmp_path / jar).parent.mkdir(parents=True)
    (tmp_path / jar).touch()
    assert java.minecraft(tmp_path).is_met


def test_there_is_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "DISK_GB", 0)
    assert java.disk(tmp_path).is_met
    monkeypatch.setattr(java, "DISK_GB", 10**9)
    assert not java.disk(tmp_path).is_met


def test_requirements_come_in_order_and_only_with_minerl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "version", lambda: None)
    assert java.requirements({}) == []
    monkeypatch.setattr(java, "version", lambda: "0.4.4")
    names = [need.name for need in java.requirements({})]
    assert names == ["JDK 8", "display", "Minecraft", "disk"]

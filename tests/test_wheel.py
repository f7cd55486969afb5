"""The wheel holds the four packages and their data, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_holds_four_packages_with_their_data(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {
        "agent_core",
        "bridges",
        "games",
        "recorder",
    }
    for needed in (
        "agent_core/checkpoints/voxel-tiny/config.json",
        "agent_core/checkpoints/voxel-tiny/model.safetensors",
        "agent_core/recipes/voxel-tiny.toml",
        "agent_core/cpu/kernels/iafm.h",
        "agent_core/cpu/kernels/paper/attention.c",
        "agent_core/cpu/kernels/compact/product.c",
        "bridges/PROTOCOL.md",
        "bridges/console/index.html",
        "bridges/console/console.js",
        "bridges/console/connection.js",
        "bridges/sdk/js/dist/index.js",
    ):
        assert needed in names
    assert not [name for name in names if "node_modules" in name]
    assert wheel.stat().st_size < 12_000_000

"""Debug build of the kernels: index checks (`IAFM_DEBUG`) under the address and undefined-behaviour sanitizers.

A process of its own loads it and runs the other kernel tests once more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent_core.cpu.build import Kind, compile_library
from agent_core.cpu.capability import Isa
from tests.agent_core.cpu.kernel_calls import (
    COMPACT_ISAS,
    COMPILER,
    IS_DEBUG,
    PAPER_ISAS,
    needs_compiler,
)

pytestmark = [pytest.mark.slow, needs_compiler]

ROOT = Path(__file__).parents[3]
TESTS = ("test_paper_kernels.py", "test_compact_kernels.py", "test_kernel_abi.py")
"""Files of this folder that pass with the debug build too."""


def asan_library() -> str | None:
    """To be loaded before Python; None where the compiler is not gcc with both sanitizers' libraries."""
    paths = [Path(_compiler_output(f"-print-file-name=lib{name}.so")) for name in ("asan", "ubsan")]
    complete = all(path.is_absolute() and path.exists() for path in paths)
    return str(paths[0]) if complete and "clang" not in _compiler_output("--version") else None


def _compiler_output(option: str) -> str:
    command = [COMPILER, option]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


OUT_OF_RANGE = """
import torch

from agent_core.config import ModelConfig
from agent_core.model.decoder import Decoder
from agent_core.cpu.compact import CpuDecoder

torch.set_grad_enabled(False)
layers = CpuDecoder(Decoder(ModelConfig(width=64, heads=2, layers=1)))
x, columns, cache = torch.zeros(1, 1, 64), torch.zeros(1, 1, 8).short(), torch.zeros(1, 2, 1, 2, 8, 32)
for slot in (7, 8):
    layers.forward_cached(x, columns, cache, torch.tensor([0]), torch.tensor([[slot]]), None)
    print("wrote slot", slot, flush=True)
"""
not_in_debug = pytest.mark.skipif(IS_DEBUG, reason="this is the debug build's own process")
needs_kernels = pytest.mark.skipif(not COMPACT_ISAS, reason="no kernels for this processor")


def debug_environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """For a process that uses the debug build, which is compiled here: compilers are slow under the sanitizer."""
    asan = asan_library()
    undefined = "-fno-sanitize-recover=all" if asan else "-fsanitize-undefined-trap-on-error"
    sanitizers = "undefined,address" if asan else "undefined"  # a trap needs no library
    flags = f"-O1 -DIAFM_DEBUG -fsanitize={sanitizers} {undefined}"
    monkeypatch.setenv("IAFM_KERNEL_FLAGS", flags)
    paper_builds: list[tuple[Kind, Isa]] = [("paper", isa) for isa in PAPER_ISAS]
    builds = [*paper_builds, ("compact", COMPACT_ISAS[0])]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda build: compile_library(*build), builds))
    preload = {"LD_PRELOAD": asan} if asan else {}
    return {**os.environ, "OMP_NUM_THREADS": "2", "ASAN_OPTIONS": "detect_leaks=0", **preload}


def run_python(
    arguments: Sequence[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@not_in_debug
@needs_kernels
def test_the_debug_build_passes_these_tests_under_sanitizers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [str(Path(__file__).with_name(name)) for name in TESTS]
    pytest_arguments = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    done = run_python(pytest_arguments, debug_environment(monkeypatch))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout


@not_in_debug
@needs_kernels
def test_the_debug_build_stops_at_an_index_out_of_range(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run_python(["-c", OUT_OF_RANGE], debug_environment(monkeypatch))
    assert done.stdout.splitlines() == ["wrote slot 7"]
    assert "assertion failed: 0 <= slot" in done.stderr

"""Calls of the CPU kernels: the builds of this processor, pointers to NumPy arrays, scratch memory, random inputs."""

from __future__ import annotations

import ctypes
import os
import subprocess
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent_core.cpu.build import Kind, load_library, supported_isas
from agent_core.cpu.capability import Isa
from agent_core.cpu.kernels import reference
from agent_core.cpu.kernels.reference import Float, to_bf16

COMPILER = os.environ.get("CC") or "cc"
PAPER_ISAS: tuple[Isa, ...] = supported_isas("paper")
if PAPER_ISAS:
    PAPER_ISAS = (*PAPER_ISAS, "amx_emulated")
COMPACT_ISAS = supported_isas("compact")
IS_DEBUG = "-DIAFM_DEBUG" in os.environ.get("IAFM_KERNEL_FLAGS", "")
if IS_DEBUG:
    COMPACT_ISAS = COMPACT_ISAS[:1]  # indices are the same for all


@lru_cache
def has_compiler() -> bool:
    command = [COMPILER, "-x", "c", "-c", os.devnull, "-o", os.devnull]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_compiler = pytest.mark.skipif(not has_compiler(), reason=f"{COMPILER} does not compile")


@lru_cache
def library(kind: Kind, isa: Isa) -> ctypes.CDLL:
    return load_library(kind, isa)


def pointer(array: NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data


def scratch(size: int) -> tuple[int, NDArray[np.uint8]]:
    """Address of `size` bytes aligned to 64, and what keeps them alive; filled with NaN."""
    array = np.full(size + 64, 0xFF, dtype=np.uint8)
    return -(-array.ctypes.data // 64) * 64, array


def normal(seed: int, *shape: int) -> Float:
    return np.random.default_rng(seed).normal(size=shape)


def half(seed: int, *shape: int) -> reference.Bf16:
    return to_bf16(normal(seed, *shape))


def assert_close(actual: Float, expected: Float, error: float) -> None:
    """Within `error` of the largest expected number."""
    assert np.isfinite(actual).all()
    assert float(np.abs(actual - expected).max()) <= error * float(np.abs(expected).max())

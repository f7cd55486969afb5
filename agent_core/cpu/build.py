"""Our C code, compiled once for this machine: `kernels/`, by its own C compiler, kept in the user's cache.

For Linux on x86: `paper` needs a processor that multiplies bfloat16, in matrix tiles (AMX, Intel's servers since 2023)
or in vectors (AVX-512, AMD since 2022), `compact` one with AVX2 (most since 2013). Anywhere else, or without a
compiler, torch computes.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import torch

from agent_core.cpu.capability import detect

_SOURCE = Path(__file__).with_name("kernels")
Kind = Literal["paper", "compact"]
Units = Literal["tiles", "vectors"]
_FLAGS = ["-O3", "-fPIC", "-shared"]
_WIDE = [f"-mavx512{unit}" for unit in ("f", "bw", "dq", "vl", "bf16", "vnni")]
_TILES = [f"-mamx-{unit}" for unit in ("tile", "bf16", "int8")]
_PAPER = {"vectors": _WIDE, "tiles": [*_WIDE, *_TILES]}
"""All that multiply bfloat16 in vectors also multiply bytes (VNNI)."""
_COMPACT = {"AVX512": ["-mavx512f", "-mfma"], "AVX2": ["-mavx2", "-mfma"]}
"""By what torch calls the processor's units."""
_PATIENCE_S = 120


class KernelError(RuntimeError):
    """Our code cannot be used here; the message says why."""


def library(kind: Kind, units: Units | None = None) -> ctypes.CDLL:
    """What was compiled of `kernels/`KIND, on torch's own threads; the paper's by the best units, or those asked for.

    Raises `KernelError`.
    """
    flags = _for_compact() if kind == "compact" else _for_paper(units)
    try:
        loaded = ctypes.CDLL(str(_compiled(kind, [*_FLAGS, *flags])))
        torch_itself = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        names = "GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads"
        loaded.begin.argtypes = [ctypes.c_void_p] * len(names)
        loaded.begin(*(ctypes.cast(getattr(torch_itself, n), ctypes.c_void_p) for n in names))
    except (OSError, AttributeError) as error:
        raise KernelError(f"what was compiled cannot be loaded: {error}") from None
    return loaded


def paper_units() -> tuple[Units, ...]:
    """What can multiply for the paper's layers here, the best first."""
    return detect().paper_units


def _for_paper(units: Units | None) -> list[str]:
    there = paper_units()
    if not there:
        raise KernelError("this processor multiplies no bfloat16 (AVX-512 or AMX)")
    if units not in (None, *there):
        raise KernelError(f"this processor has no {units}")
    return _PAPER[units or there[0]]


def _for_compact() -> list[str]:
    processor = detect()
    units = processor.compact_units
    if units is None:
        system = platform.system()
        raise KernelError(
            f"it is for Linux on processors with AVX2, this is {system}, {processor.vectors}"
        )
    return _COMPACT[units]


def _compiled(kind: Kind, flags: list[str]) -> Path:
    """The file, made where it is missing."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise KernelError("there is no C compiler (cc); install gcc")
    files = [file for folder in (_SOURCE, _SOURCE / kind) for file in sorted(folder.glob("*.[ch]"))]
    made_of = b"".join([repr((flags, compiler)).encode(), *(file.read_bytes() for file in files)])
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iafm"
        path = folder / f"{kind}-{hashlib.sha256(made_of).hexdigest()[:16]}.so"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
            raise KernelError(f"others may write to {folder}; chmod 700 it")
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=folder) as room:
                new = Path(room) / path.name
                sources = [str(file) for file in files if file.suffix == ".c"]
                command = [compiler, *flags, *sources, "-o", str(new)]
                subprocess.run(
                    command, check=True, capture_output=True, text=True, timeout=_PATIENCE_S
                )
                new.replace(path)
    except subprocess.CalledProcessError as error:
        raise KernelError(f"{compiler} fails: {error.stderr.strip()[:500]}") from None
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"it cannot be compiled: {error}") from None
    return path

"""Our C code, compiled once for this machine: `kernels/`, by its own C compiler, kept in the user's cache.

For Linux and processors with matrix tiles (AMX, Intel since 2023). Anywhere else, or without a compiler, torch
computes.
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

import torch

_SOURCE = Path(__file__).with_name("kernels")
_FLAGS = [
    "-O3",
    "-fPIC",
    "-shared",
    *(f"-mavx512{unit}" for unit in ("f", "bw", "dq", "vl", "bf16")),
    *(f"-mamx-{unit}" for unit in ("tile", "bf16", "int8")),
]
_PATIENCE_S = 120


class KernelError(RuntimeError):
    """Our code cannot be used here; the message says why."""


def library() -> ctypes.CDLL:
    """What was compiled, on torch's own threads. Raises `KernelError`."""
    supported = torch.cpu._is_amx_tile_supported() and torch.cpu._is_avx512_bf16_supported()
    if platform.system() != "Linux" or not supported:
        raise KernelError("this processor has no matrix tiles (AMX)")
    if not torch.cpu._init_amx():
        raise KernelError("the system does not let this process use matrix tiles")
    try:
        loaded = ctypes.CDLL(str(_compiled()))
        torch_itself = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        names = "GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads"
        loaded.begin.argtypes = [ctypes.c_void_p] * len(names)
        loaded.begin(*(ctypes.cast(getattr(torch_itself, n), ctypes.c_void_p) for n in names))
    except (OSError, AttributeError) as error:
        raise KernelError(f"what was compiled cannot be loaded: {error}") from None
    return loaded


def _compiled() -> Path:
    """The file, made where it is missing."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise KernelError("there is no C compiler (cc); install gcc")
    files = sorted(_SOURCE.glob("*.[ch]"))
    made_of = b"".join([repr((_FLAGS, compiler)).encode(), *(file.read_bytes() for file in files)])
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iafm"
        path = folder / f"kernels-{hashlib.sha256(made_of).hexdigest()[:16]}.so"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
            raise KernelError(f"others may write to {folder}; chmod 700 it")
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=folder) as room:
                new = Path(room) / path.name
                sources = [str(file) for file in files if file.suffix == ".c"]
                command = [compiler, *_FLAGS, *sources, "-o", str(new)]
                subprocess.run(
                    command, check=True, capture_output=True, text=True, timeout=_PATIENCE_S
                )
                new.replace(path)
    except subprocess.CalledProcessError as error:
        raise KernelError(f"{compiler} fails: {error.stderr.strip()[:500]}") from None
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"it cannot be compiled: {error}") from None
    return path

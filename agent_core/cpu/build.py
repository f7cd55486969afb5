"""Build of the CPU kernels: `kernels/`, compiled once by this machine's C compiler, kept in the user's cache.

For Linux on x86: `paper` needs a processor that multiplies bfloat16, in matrix tiles (AMX, Intel's servers since 2023)
or in vectors (AVX-512, AMD since 2022), `compact` one with AVX2 (most since 2013). Anywhere else, or without a
compiler, torch computes.

`CC` names the compiler, `IAFM_KERNEL_FLAGS` adds flags: `-O1 -g -DIAFM_DEBUG -fsanitize=undefined` makes a build that
checks every index.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch

from agent_core.cpu.capability import Isa, detect
from agent_core.cpu.kernels import abi, compact_structs, paper_structs
from agent_core.errors import KernelError

_SOURCE = Path(__file__).with_name("kernels")
Kind = Literal["paper", "compact"]

_FLAGS = ["-std=gnu11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden"]
_AVX512_BF16 = [f"-mavx512{unit}" for unit in ("f", "bw", "dq", "vl", "bf16", "vnni")]
_AMX = [f"-mamx-{unit}" for unit in ("tile", "bf16", "int8")]
_ISA_FLAGS: dict[Kind, dict[Isa, list[str]]] = {
    "paper": {
        "amx": [*_AVX512_BF16, *_AMX],
        "avx512": _AVX512_BF16,
        "amx_emulated": [*_AVX512_BF16, "-DIAFM_EMULATE_AMX"],
    },
    "compact": {"avx512": ["-mavx512f", "-mfma"], "avx2": ["-mavx2", "-mfma"]},
}
"""All processors that multiply bfloat16 in vectors also multiply bytes (VNNI)."""
_STRUCTS = {"paper": paper_structs.STRUCTS, "compact": compact_structs.STRUCTS}
_FUNCTIONS = {"paper": paper_structs.FUNCTIONS, "compact": compact_structs.FUNCTIONS}
_COMPILER_TIMEOUT_S = 120


def supported_isas(kind: Kind) -> tuple[Isa, ...]:
    """Instruction sets that this processor has for a library, the best first; empty where it has none."""
    processor = detect()
    return processor.compact_isas if kind == "compact" else processor.paper_isas


def load_library(
    kind: Kind,
    isa: Isa | None = None,
    *,
    structs: Iterable[type[ctypes.Structure]] | None = None,
) -> ctypes.CDLL:
    """The library compiled of `kernels/`KIND, on torch's own threads, its functions declared and its structs checked.

    For the best instruction set of this processor, or the one asked for. `structs` are the mirrors to check instead
    of `kernels/`'s own. Raises `KernelError`.
    """
    path = compile_library(kind, isa)
    try:
        library = ctypes.CDLL(str(path))
        if difference := abi.mismatch(library, _STRUCTS[kind] if structs is None else structs):
            raise KernelError(f"{path.name} does not fit this version: {difference}")
        for name, (result, arguments) in _FUNCTIONS[kind].items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        _share_threads(library)
    except (OSError, AttributeError) as error:
        raise KernelError(f"{path.name} cannot be loaded: {error}") from None
    return library


def compile_library(kind: Kind, isa: Isa | None = None) -> Path:
    """The library's file in the user's cache, compiled where it is missing. Raises `KernelError`."""
    more = shlex.split(os.environ.get("IAFM_KERNEL_FLAGS", ""))
    return _cached(kind, [*_FLAGS, *_ISA_FLAGS[kind][_check_isa(kind, isa)], *more])


def _share_threads(library: ctypes.CDLL) -> None:
    """Hand in the OpenMP functions of torch's own library."""
    torch_library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    names = "GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads"
    library.iafm_init_threads.argtypes = [ctypes.c_void_p] * len(names)
    library.iafm_init_threads.restype = None
    library.iafm_init_threads(
        *(ctypes.cast(getattr(torch_library, name), ctypes.c_void_p) for name in names)
    )


def _check_isa(kind: Kind, isa: Isa | None) -> Isa:
    """The instruction set to compile for. Raises `KernelError` where the processor lacks it."""
    supported = supported_isas(kind)
    if not supported:
        needs = "bfloat16 products (AVX-512 or AMX)" if kind == "paper" else "AVX2"
        raise KernelError(
            f"needs Linux on a processor with {needs}; this is {platform.system()},"
            f" {torch.backends.cpu.get_cpu_capability()}"
        )
    if isa == "amx_emulated":
        return isa
    if isa not in (None, *supported):
        raise KernelError(f"this processor has no {isa}")
    return isa or supported[0]


def _cached(kind: Kind, flags: list[str]) -> Path:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise KernelError("there is no C compiler (cc); install gcc")
    files = [file for folder in (_SOURCE, _SOURCE / kind) for file in sorted(folder.glob("*.[ch]"))]
    contents = [repr((flags, compiler)).encode(), *(file.read_bytes() for file in files)]
    try:
        folder = _cache_folder()
        path = folder / f"{kind}-{hashlib.sha256(b''.join(contents)).hexdigest()[:16]}.so"
        if not path.exists():
            sources = [str(file) for file in files if file.suffix == ".c"]
            _compile([compiler, *flags, *sources], path)
    except KernelError:
        raise
    except subprocess.CalledProcessError as error:
        raise KernelError(f"{compiler} fails: {error.stderr.strip()[:500]}") from None
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"it cannot be compiled: {error}") from None
    return path


def _cache_folder() -> Path:
    """Made where it is missing. Raises `KernelError` where others may write to it: code is loaded from there."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iafm"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
        raise KernelError(f"others may write to {folder}; chmod 700 it")
    return folder


def _compile(command: list[str], path: Path) -> None:
    """Into a folder of its own first, so that a cut-off run leaves no half library."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder) / path.name
        subprocess.run(
            [*command, "-o", str(new)],
            check=True, capture_output=True, text=True, timeout=_COMPILER_TIMEOUT_S,
        )  # fmt: skip
        new.replace(path)

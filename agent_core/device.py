"""Device selection, and how this process's memory is mapped."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from agent_core.cpu.capability import support
from agent_core.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """A device by name; "auto" takes CUDA where there is one. Raises `ConfigError`."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (AssertionError, RuntimeError):
        raise ConfigError(f"torch has no device {name!r} here; take cpu or auto") from None


def half_precision(setting: str, device: torch.device) -> bool:
    """Whether training computes in bfloat16. `auto`: on a GPU, or on a processor with instructions for it.

    Where it is asked for it is taken, though a processor without them computes it slowly.
    """
    if setting == "auto":
        return support("bfloat16", device).is_faster
    return setting == "bfloat16"


def keep_freed_memory() -> None:
    """Have this process keep memory that was freed, for the next step's tensors (glibc; elsewhere nothing happens).

    Else every large tensor is mapped anew and cleared page by page: a fifth of a training step on two cores, and one
    part in twenty of a batch of sixteen players. Small pieces are kept like others: a list of their own is swept at
    every large tensor that is freed, one to three parts in a hundred of the paper's sizes in play.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    largest_fast, trim_threshold, mmap_threshold = 1, -1, -3
    mallopt(largest_fast, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(mmap_threshold, 2**30)


def use_large_pages(memory: Tensor) -> None:
    """Ask for pages of 2 MB under a tensor that is read again and again (Linux; elsewhere nothing happens).

    Streams of reads then reach twice the bandwidth here: fewer addresses to look up, and fetching ahead does not end
    every 4 kB.
    """
    size = 2 << 20
    begin = -(-memory.data_ptr() // size) * size
    length = (memory.data_ptr() + memory.nbytes) // size * size - begin
    if memory.device.type != "cpu" or length <= 0:
        return
    try:
        advise = ctypes.CDLL(None).madvise
    except (AttributeError, OSError, TypeError):
        return
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    huge_page, collapse = 14, 25  # the second makes them at once (Linux 6.1)
    for advice in (huge_page, collapse):
        advise(begin, length, advice)

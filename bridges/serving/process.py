"""Process of a server: threads that do not wait for each other, and memory that goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

SWITCH_S = 0.0005
"""A thread that has something to do waits so long for one that computes; Python's own 5 ms are a tenth of a step."""
_CLEAR_CACHES = "_clear_internal_caches" if sys.version_info >= (3, 13) else "_clear_type_cache"
_FREE_ITERATORS = 255
"""Iterators of awaited futures that asyncio keeps for use again, wherever in memory they were made."""
_M_ARENA_MAX = -8
"""Of glibc's `mallopt`."""


def prepare() -> None:
    """Make a process ready to serve for long; call it once, before threads are started.

    Pictures come and go in megabytes. glibc keeps them in an arena for each thread, and returns the end of no arena but
    the first: here all threads share it. What exists now is left out of later searches for garbage, which take
    milliseconds then and no game waits for them.
    """
    sys.setswitchinterval(SWITCH_S)
    if (mallopt := _of_libc("mallopt")) is not None:
        mallopt(_M_ARENA_MAX, 1)
    gc.collect()
    gc.freeze()


def start_worker(name: str) -> ThreadPoolExecutor:
    """One thread for work off the event loop, started now and not among the memory of its first games."""
    worker = ThreadPoolExecutor(1, thread_name_prefix=name)
    worker.submit(int)
    return worker


def trim() -> None:
    """Return what is free; nothing happens where the C library has no `malloc_trim`.

    Connections that were cut leave cycles behind, and Python's cache of attributes refers to thousands of names from
    their specs, each of which may keep a megabyte from going back. In a process that is prepared both go.
    """
    if gc.get_freeze_count():
        gc.collect()
        if (clear := getattr(sys, _CLEAR_CACHES, None)) is not None:
            clear()
    if (malloc_trim := _of_libc("malloc_trim")) is not None:
        malloc_trim(0)


def gather_free_iterators(loop: asyncio.AbstractEventLoop) -> None:
    """Let asyncio keep iterators that are made now, side by side; call it before `trim`, in the thread of the loop.

    Those that it keeps since many connections were there lie far apart, each in a block of memory of its own.
    """
    future = loop.create_future()
    old = [future.__await__() for _ in range(_FREE_ITERATORS)]
    new = [future.__await__() for _ in range(_FREE_ITERATORS)]
    del new  # first: asyncio keeps no more than these
    del old


@cache
def _of_libc(name: str) -> Any:
    """A function of glibc; None on another system or with another C library."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None

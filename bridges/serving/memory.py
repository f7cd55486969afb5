"""Memory: what the process no longer uses goes back to the system."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def trim() -> None:
    """Return free pages; pictures come and go in megabytes, and glibc keeps them in each thread's arena.

    Nothing happens where the C library has no `malloc_trim`.
    """
    if (malloc_trim := _malloc_trim()) is not None:
        malloc_trim(0)


@cache
def _malloc_trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return None

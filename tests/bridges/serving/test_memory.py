"""Memory: freed pictures go back to the system, and a C library that cannot do it is no fault."""

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from bridges.serving import memory


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_free_goes_back() -> None:
    if memory._malloc_trim() is None:
        pytest.skip("no malloc_trim")
    blocks = [np.ones(100_000, np.uint8) for _ in range(400)]
    last = np.ones(100_000, np.uint8)  # behind the others, so that the heap does not end before it
    before = resident_pages()
    del blocks
    memory.trim()
    assert before - resident_pages() > 5000
    assert last.all()


def test_without_malloc_trim_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    memory._malloc_trim.cache_clear()
    memory.trim()
    memory._malloc_trim.cache_clear()

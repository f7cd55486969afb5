"""Memory: freed pictures and cycles go back to the system, and a C library that cannot do it is no fault."""

import ctypes
import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from bridges.serving import process


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_free_goes_back() -> None:
    if process._of_libc("malloc_trim") is None:
        pytest.skip("no malloc_trim")
    blocks = [np.ones(100_000, np.uint8) for _ in range(400)]
    last = np.ones(100_000, np.uint8)  # behind the others, so that the heap does not end before it
    before = resident_pages()
    del blocks
    process.trim()
    assert before - resident_pages() > 5000
    assert last.all()


def test_without_malloc_trim_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    process._of_libc.cache_clear()
    process.trim()
    process._of_libc.cache_clear()


class _Cycle:
    """Refers to itself, so that only a search for garbage frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_a_prepared_process_frees_cycles() -> None:
    was_enabled, interval_s = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    try:
        process.prepare()
        assert sys.getswitchinterval() == pytest.approx(process.SWITCH_S)
        assert gc.get_freeze_count() > 0
        freed = weakref.ref(_Cycle())
        assert freed() is not None
        process.trim()
        assert freed() is None
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval_s)
        if was_enabled:
            gc.enable()


def test_another_process_is_not_searched() -> None:
    gc.disable()
    try:
        kept = weakref.ref(_Cycle())
        process.trim()
        assert kept() is not None
    finally:
        gc.enable()

"""Memory: freed pictures and cycles go back to the system, and a C library that cannot do it is no fault."""

import asyncio
import ctypes
import gc
import sys
import threading
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


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="of CPython's allocator")
def test_free_iterators_of_asyncio_come_to_lie_side_by_side() -> None:
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    loop.close()

    def pools() -> int:
        """Blocks of 16 KiB that the next iterators lie in."""
        iterators = [future.__await__() for _ in range(200)]
        return len({id(iterator) >> 14 for iterator in iterators})

    kept = [future.__await__() for _ in range(300)]  # what asyncio has kept by now
    apart, between = [], []
    for _ in range(300):  # each in a block that is else full
        apart.append(future.__await__())
        between.append([object() for _ in range(400)] + [(n,) for n in range(400)])
    apart.clear()
    assert pools() > 50
    between.append([(n,) for n in range(20_000)])  # no room is left in blocks that are in use
    process.gather_free_iterators(loop)
    assert pools() < 10
    assert between
    assert kept


def test_a_worker_has_its_thread_from_the_start() -> None:
    worker = process.start_worker("early bird")
    try:
        assert any(thread.name.startswith("early bird") for thread in threading.enumerate())
    finally:
        worker.shutdown()

"""Process pool whose workers use one core each and end with their parent."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import wait
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")

CONTEXT = multiprocessing.get_context("spawn")
"""Workers are spawned: a fork would inherit threads."""


class WorkCounter:
    """Count of what all workers of a pool have done so far, in memory that they share."""

    def __init__(self) -> None:
        self._value: Any = CONTEXT.Value("q", 0)

    @property
    def value(self) -> int:
        """The count so far."""
        return int(self._value.value)

    def add(self, count: int) -> None:
        """Count further work."""
        with self._value.get_lock():
            self._value.value += count


_counters: list[WorkCounter] = []
"""In a worker: its pool's, if it has one."""


def pool(workers: int, counter: WorkCounter | None = None) -> ProcessPoolExecutor:
    """A pool of `workers` processes, in which `count_work` adds to `counter`."""
    return ProcessPoolExecutor(
        workers, mp_context=CONTEXT, initializer=_init_worker, initargs=(counter,)
    )


def run_jobs(
    run: Callable[..., Sequence[Outcome]],
    jobs: Sequence[Sequence[Any]],
    workers: int,
    on_outcome: Callable[[Outcome], object] | None = None,
) -> list[Outcome]:
    """The outcomes of `run(*job)` for all jobs, in `workers` processes; `on_outcome` gets each as it comes."""
    outcomes: list[Outcome] = []
    processes = pool(workers)
    try:
        for future in as_completed([processes.submit(run, *job) for job in jobs]):
            for outcome in future.result():
                outcomes.append(outcome)
                if on_outcome:
                    on_outcome(outcome)
    finally:
        processes.shutdown(wait=True, cancel_futures=True)
    return outcomes


def count_work(count: int = 1) -> None:
    """Count work in a worker whose pool has a counter; nothing elsewhere."""
    for counter in _counters:
        counter.add(count)


def _init_worker(counter: WorkCounter | None) -> None:
    """Limit a worker's BLAS libraries to one thread, and watch its parent."""
    if counter is not None:
        _counters.append(counter)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this process with its parent. Workers hold each other's pipes open, so they would outlive a killed parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

"""Process pool whose workers use one core each and end with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, TypeVar

from agent_core.errors import WorkerLostError

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
    """The outcomes of `run(*job)` for all jobs, in `workers` processes; `on_outcome` gets each as it comes.

    Jobs of a worker that was killed are run again. Raises `WorkerLostError` where that happens twice and no job ends.
    Ctrl-C raises `KeyboardInterrupt` once in each job, which may return what it has; `on_outcome` gets that too.
    """
    outcomes: list[Outcome] = []

    def take(some: Sequence[Outcome]) -> None:
        for outcome in some:
            outcomes.append(outcome)
            if on_outcome:
                on_outcome(outcome)

    waiting, in_vain = list(jobs), 0
    while waiting:
        left = _run_in_one_pool(run, waiting, workers, take)
        in_vain = in_vain + 1 if len(left) == len(waiting) else 0
        if left and in_vain > 1:
            raise WorkerLostError(
                "worker processes ended twice without a result; were they killed for lack of memory?"
            )
        waiting = left
    return outcomes


def _run_in_one_pool(
    run: Callable[..., Sequence[Outcome]],
    jobs: Sequence[Sequence[Any]],
    workers: int,
    take: Callable[[Sequence[Outcome]], None],
) -> list[Sequence[Any]]:
    """Run jobs until all have ended or a worker was killed; returns the jobs without a result."""
    others = set(multiprocessing.active_children())
    processes = ProcessPoolExecutor(workers, mp_context=CONTEXT, initializer=_init_job_worker)
    left = dict(enumerate(jobs))
    futures: dict[Future[Sequence[Outcome]], int] = {}
    try:
        with _sigint_blocked(), suppress(BrokenProcessPool):
            for number, job in left.items():
                futures[processes.submit(_run_job, run, job)] = number
        for future in as_completed(list(futures)):
            with suppress(BrokenProcessPool):
                result = future.result()
                del left[futures.pop(future)]
                take(result)
    except BaseException:
        _interrupt(processes, set(multiprocessing.active_children()) - others)
        for future in futures:
            if future.done() and not future.cancelled() and future.exception() is None:
                take(future.result())
        raise
    finally:
        processes.shutdown(wait=True, cancel_futures=True)
    return list(left.values())


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Workers that are started meanwhile begin with SIGINT blocked, so that it meets their handler or none."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(processes: ProcessPoolExecutor, workers: Iterable[BaseProcess]) -> None:
    """Interrupt the workers and wait for them; a further Ctrl-C kills them."""
    try:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid or 0, signal.SIGINT)
        processes.shutdown(wait=True, cancel_futures=True)
    except KeyboardInterrupt:
        for worker in workers:
            worker.kill()
        raise


class _Interruption:
    """In a worker: whether Ctrl-C came, and whether a job is there to be interrupted."""

    has_come = False
    is_in_job = False


def _run_job(run: Callable[..., Sequence[Outcome]], job: Sequence[Any]) -> Sequence[Outcome]:
    """A job in a worker; raises `KeyboardInterrupt` where the worker was interrupted before."""
    _Interruption.is_in_job = True
    try:
        if _Interruption.has_come:
            raise KeyboardInterrupt
        return run(*job)
    finally:
        _Interruption.is_in_job = False


def _init_job_worker() -> None:
    """As `_init_worker`; between jobs an interrupt does not end the worker, whose last result is on its way."""
    _init_worker(None)
    signal.signal(signal.SIGINT, _on_interrupt)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    """Raise `KeyboardInterrupt` in the job, but not a second time: the terminal and the parent may both send one."""
    is_first, _Interruption.has_come = not _Interruption.has_come, True
    if is_first and _Interruption.is_in_job:
        raise KeyboardInterrupt


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

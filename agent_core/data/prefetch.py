"""Where is the next step's batch while this one computes? Being drawn, by one thread in the background.

What is drawn depends on the step alone, so a run learns the same with it and without. Where the model takes every core
of the processor there is nobody to draw meanwhile, and batches are drawn in turn. On a GPU the thread has a stream
of its own, else its work would queue behind the step that computes. Memory of that stream is given out again on it
alone: a batch is held until the GPU is done with its step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Generic, TypeVar

import torch

Drawn = TypeVar("Drawn")


def can_prefetch(device: torch.device) -> bool:
    """Whether a core is left over while the device computes.

    Where none is, a second thread of tensor operations costs the first more than it takes off it: tiny on both of two
    cores trained at 6.4 steps a second, and at 9.2 when drawing in turn, which takes 4 ms of a step there.
    """
    return device.type != "cpu" or torch.get_num_threads() < (os.cpu_count() or 1)


class Prefetcher(Generic[Drawn]):
    """Hands out `draw(step)` of one step after the other, drawn `ahead` or in turn; as a context it ends its thread."""

    def __init__(self, load: Callable[[int], Drawn], device: torch.device, prefetch: bool) -> None:
        self._load, self._device, self._prefetch = load, device, prefetch
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feeding")
        self._next: tuple[int, Future[Drawn]] | None = None
        self._held: Drawn | None = None
        self.data_wait_s = 0.0
        """Time in `take` during which nothing was computed for want of data."""

    def get(self, step: int) -> Drawn:
        """What `draw` gave for the step, and raises what it raised; the one after it is begun."""
        self._finish_computing()
        begun = time.monotonic()
        drawn = self._from_thread(step) if self._prefetch else self._load(step)
        self.data_wait_s += time.monotonic() - begun
        if self._prefetch:
            self._held = drawn
            self._next = (step + 1, self._begin(step + 1))
        return drawn

    def _from_thread(self, step: int) -> Drawn:
        if self._next is None or self._next[0] != step:
            self._next = (step, self._begin(step))
        return self._next[1].result()

    def __enter__(self) -> Prefetcher[Drawn]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._finish_computing()
        self._next = self._held = None

    def _begin(self, step: int) -> Future[Drawn]:
        return self._thread.submit(self._load_batch, step)

    def _load_batch(self, step: int) -> Drawn:
        """Runs in the thread; what it returns can be read on any stream."""
        stream: AbstractContextManager[Any] = nullcontext()
        if self._stream is not None:
            stream = torch.cuda.stream(self._stream)
        with stream:
            drawn = self._load(step)
        if self._stream is not None:
            self._stream.synchronize()
        return drawn

    def _finish_computing(self) -> None:
        """Wait for the GPU: to wait for data while it computes is not to lack them."""
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()

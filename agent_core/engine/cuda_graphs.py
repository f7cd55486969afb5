"""CUDA graphs: forward passes captured per input shape and replayed with one launch.

A forward pass of the paper's sizes is several hundred small kernels, and launching them one by one can take longer than
computing them. A CUDA graph launches all of them together, but always on the same memory: inputs are copied to the
addresses that were captured. Capturing costs as much as dozens of passes. So shapes are few (batch sizes are rounded up
to a bucket, `bucket_size`), and a shape is captured when it comes a second time.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

ForwardFn = Callable[[], Tensor]
CaptureFn = Callable[[ForwardFn], tuple[Tensor, Callable[[], None]]]
"""Captures a forward pass: the tensor its output is written to, and the function that replays it."""
_MAX_GRAPHS = 128
"""Captured graphs; least recently used ones are dropped. Shapes differ by draft length, attended length and batch."""
_MAX_BATCH = 512
"""Larger batches run eagerly: they compute for longer than their launches take."""
_TOLERANCE = 0.05
"""Largest difference between replay and eager pass, relative to the largest output: kernels round bfloat16
differently."""


@dataclass(frozen=True)
class _Graph:
    inputs: tuple[Tensor, ...]
    output: Tensor
    replay: Callable[[], None]


def bucket_size(count: int) -> int:
    """The batch size rounded up to one of four sizes an octave: 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, …"""
    step = 1 << max(0, (count - 1).bit_length() - 3)
    return -(-count // step) * step


class GraphedFunction:
    """A function of batched tensors (and of keyword numbers), captured when an input shape comes a second time.

    The batch is padded to its bucket by repeating the last row, so computing a row twice must do no harm. The output is
    overwritten by the next call. Tensors that the function reads or writes beside its inputs must keep their addresses;
    call `reset` when they moved. Where capture fails, or a replay differs from the eager pass, it logs a warning and
    stays eager.
    """

    def __init__(self, function: Callable[..., Tensor], capture: CaptureFn) -> None:
        self._function, self._capture = function, capture
        self._enabled = True
        self._seen: OrderedDict[object, None] = OrderedDict()
        self._graphs: OrderedDict[object, _Graph] = OrderedDict()

    def __len__(self) -> int:
        """Number of captured graphs."""
        return len(self._graphs)

    def __call__(self, *inputs: Tensor, **fixed: int | None) -> Tensor:
        count = len(inputs[0])
        if not self._enabled or count > _MAX_BATCH:
            return self._function(*inputs, **fixed)
        padded = tuple(_repeat_last(x, bucket_size(count)) for x in inputs)
        return self._run_bucket(padded, fixed)[:count]

    def _run_bucket(self, inputs: tuple[Tensor, ...], fixed: dict[str, int | None]) -> Tensor:
        """Replay the graph of this shape; run eagerly the first time, capture the second time."""
        key = (*(x.shape for x in inputs), *fixed.items())
        graph = self._graphs.get(key)
        if graph is None and key in self._seen:
            return self._capture_and_check(key, inputs, fixed)
        if graph is None:
            _put(self._seen, key, None)
            return self._function(*inputs, **fixed)
        self._graphs.move_to_end(key)
        for captured, x in zip(graph.inputs, inputs, strict=True):
            captured.copy_(x)
        graph.replay()
        return graph.output

    def reset(self) -> None:
        """Drop all captured graphs."""
        self._graphs.clear()

    def _capture_and_check(
        self, key: object, inputs: tuple[Tensor, ...], fixed: dict[str, int | None]
    ) -> Tensor:
        """Run eagerly, capture, replay, and keep the graph only if both outputs agree."""
        captured = tuple(x.clone() for x in inputs)
        eager = self._function(*captured, **fixed).clone()
        try:
            output, replay = self._capture(lambda: self._function(*captured, **fixed))
            replay()
            difference = (output - eager).abs().max() / eager.abs().max().clamp(min=1e-6)
        except RuntimeError as error:
            return self._fall_back(eager, str(error))
        if not difference <= _TOLERANCE:  # also where it is not a number
            return self._fall_back(
                eager, f"the replay differs from the eager pass by {float(difference):.3g}"
            )
        _put(self._graphs, key, _Graph(captured, output, replay))
        return output

    def _fall_back(self, eager: Tensor, reason: str) -> Tensor:
        logger.warning("CUDA graphs are off, kernels are launched one by one (slower): %s", reason)
        self._enabled = False
        self.reset()
        return eager


def _repeat_last(x: Tensor, size: int) -> Tensor:
    """Pad a batch to `size` rows with copies of its last row."""
    if size == len(x):
        return x
    return torch.cat([x, x[-1:].expand(size - len(x), *x.shape[1:])])


def _put(entries: OrderedDict[object, Any], key: object, value: Any) -> None:
    entries[key] = value
    if len(entries) > _MAX_GRAPHS:
        entries.popitem(last=False)


def capture_for(device: torch.device) -> CaptureFn | None:
    """How forward passes on a device are captured; None where they run eagerly."""
    return capture if device.type == "cuda" else None


def capture(function: ForwardFn) -> tuple[Tensor, Callable[[], None]]:
    """Capture a CUDA graph; all graphs share one memory pool for intermediate tensors.

    Raises `RuntimeError` where the pass waits for the CPU.
    """
    stream = torch.cuda.current_stream()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(stream)
    with torch.cuda.stream(
        side
    ):  # warm-up: libraries allocate workspaces, which must not be captured
        function()
    stream.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, pool=_pool()):
            output = function()
    finally:
        torch.cuda.set_stream(stream)  # a failed capture leaves its own stream current
    return output, graph.replay


@lru_cache(maxsize=1)
def _pool() -> Any:
    return torch.cuda.graph_pool_handle()

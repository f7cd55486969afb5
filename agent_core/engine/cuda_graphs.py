"""How does a whole pass cost a GPU one launch? Recorded once for every shape of its inputs, then replayed.

A pass of the paper's sizes is several hundred small kernels, and launching them one by one can take longer than
computing them. CUDA graphs launch all of them together, but always on the same memory: inputs are copied to where the
recording read them. Recording costs as much as dozens of passes, so shapes are few (numbers of players are rounded up
to `rounded`), and one is recorded when it comes a second time.
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
"""Gives where a recorded pass leaves its outcome, and what runs it once more."""
_MAX_GRAPHS = 128
"""Recordings kept: lengths of drafts and memories, and numbers of players."""
_MAX_BATCH = 512
"""A pass of more players computes for longer than its launches take."""
_TOLERANCE = 0.05
"""How far, of the largest number, a replay may be from the pass itself: other kernels round bfloat16 otherwise."""


@dataclass(frozen=True)
class _Graph:
    inputs: tuple[Tensor, ...]
    output: Tensor
    replay: Callable[[], None]


def bucket_size(count: int) -> int:
    """Up to one of four sizes an octave: 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, …"""
    step = 1 << max(0, (count - 1).bit_length() - 3)
    return -(-count // step) * step


class GraphedFunction:
    """A function of tensors of B rows each (and of numbers by name), recorded when inputs of a shape come again.

    The last row is repeated up to a `rounded` number of them, so computing it twice must do no harm. What it gives is
    overwritten by the next call. What it reads and writes beside its inputs must stay where it is in memory: `forget`
    when that moved. Where recording fails, or replays something else, it goes on without and says so in the log.
    """

    def __init__(self, function: Callable[..., Tensor], capture: CaptureFn) -> None:
        self._function, self._capture = function, capture
        self._enabled = True
        self._seen: OrderedDict[object, None] = OrderedDict()
        self._graphs: OrderedDict[object, _Graph] = OrderedDict()

    def __len__(self) -> int:
        """Recordings there are."""
        return len(self._graphs)

    def __call__(self, *inputs: Tensor, **fixed: int | None) -> Tensor:
        count = len(inputs[0])
        if not self._enabled or count > _MAX_BATCH:
            return self._function(*inputs, **fixed)
        return self._run_bucket(tuple(_repeat_last(x, bucket_size(count)) for x in inputs), fixed)[
            :count
        ]

    def _run_bucket(self, inputs: tuple[Tensor, ...], fixed: dict[str, int | None]) -> Tensor:
        key = (*(x.shape for x in inputs), *fixed.items())
        found = self._graphs.get(key)
        if found is None and key in self._seen:
            return self._capture_and_check(key, inputs, fixed)
        if found is None:
            _put(self._seen, key, None)
            return self._function(*inputs, **fixed)
        self._graphs.move_to_end(key)
        for place, x in zip(found.inputs, inputs, strict=True):
            place.copy_(x)
        found.replay()
        return found.output

    def reset(self) -> None:
        """Everything recorded."""
        self._graphs.clear()

    def _capture_and_check(
        self, key: object, inputs: tuple[Tensor, ...], fixed: dict[str, int | None]
    ) -> Tensor:
        """Run it as it is, record it, and see whether the recording says the same."""
        own = tuple(x.clone() for x in inputs)
        plain = self._function(*own, **fixed).clone()
        try:
            outcome, replay = self._capture(lambda: self._function(*own, **fixed))
            replay()
            apart = (outcome - plain).abs().max() / plain.abs().max().clamp(min=1e-6)
        except RuntimeError as error:
            return self._fall_back(plain, str(error))
        if not apart <= _TOLERANCE:
            return self._fall_back(plain, f"the replay is {float(apart):.3g} from the pass itself")
        _put(self._graphs, key, _Graph(own, outcome, replay))
        return outcome

    def _fall_back(self, plain: Tensor, why: str) -> Tensor:
        logger.warning("passes are launched kernel by kernel, which is slower: %s", why)
        self._enabled = False
        self.reset()
        return plain


def _repeat_last(x: Tensor, rows: int) -> Tensor:
    if rows == len(x):
        return x
    return torch.cat([x, x[-1:].expand(rows - len(x), *x.shape[1:])])


def _put(what: OrderedDict[object, Any], key: object, value: Any) -> None:
    what[key] = value
    if len(what) > _MAX_GRAPHS:
        what.popitem(last=False)


def can_capture(device: torch.device) -> bool:
    """Whether passes on a device can be recorded."""
    return device.type == "cuda"


def capture(function: ForwardFn) -> tuple[Tensor, Callable[[], None]]:
    """With CUDA graphs, which share memory for what lies between. Raises `RuntimeError` where a pass waits."""
    usual = torch.cuda.current_stream()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(usual)
    with torch.cuda.stream(side):  # libraries make their workspaces, which may not be recorded
        function()
    usual.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, pool=_pool()):
            output = function()
    finally:
        torch.cuda.set_stream(usual)  # a recording that failed leaves its own behind
    return output, graph.replay


@lru_cache(maxsize=1)
def _pool() -> Any:
    return torch.cuda.graph_pool_handle()

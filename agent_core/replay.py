"""How does a whole pass cost a GPU one launch? Recorded once for every shape of its inputs, then replayed.

A pass of the paper's sizes is several hundred small kernels, and launching them one by one can take longer than
computing them. CUDA graphs launch all of them together, but always on the same memory: inputs are copied to where the
recording read them.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

Pass = Callable[[], Tensor]
Record = Callable[[Pass], tuple[Tensor, Callable[[], None]]]
"""Gives where a recorded pass leaves its outcome, and what runs it once more."""
_MOST = 64
"""Recordings kept: lengths of drafts and memories, and numbers of players."""
_APART = 0.05
"""How far, of the largest number, a replay may be from the pass itself: other kernels round bfloat16 otherwise."""


@dataclass(frozen=True)
class _Recording:
    inputs: tuple[Tensor, ...]
    outcome: Tensor
    replay: Callable[[], None]


class Replayed:
    """A function of tensors (and of numbers by name), recorded when inputs of new shapes come.

    What it gives is overwritten by the next call with the same shapes. What it reads and writes beside its inputs must
    stay where it is in memory: `forget` when that moved. Where recording fails, or replays something else, it goes on
    without and says so in the log.
    """

    def __init__(self, run: Callable[..., Tensor], record: Record) -> None:
        self._run, self._record = run, record
        self._works = True
        self._kept: OrderedDict[object, _Recording] = OrderedDict()

    def __len__(self) -> int:
        """Recordings there are."""
        return len(self._kept)

    def __call__(self, *inputs: Tensor, **fixed: int | None) -> Tensor:
        if not self._works:
            return self._run(*inputs, **fixed)
        key = (*(x.shape for x in inputs), *fixed.items())
        found = self._kept.get(key)
        if found is None:
            return self._first(key, inputs, fixed)
        self._kept.move_to_end(key)
        for place, x in zip(found.inputs, inputs, strict=True):
            place.copy_(x)
        found.replay()
        return found.outcome

    def forget(self) -> None:
        """Everything recorded."""
        self._kept.clear()

    def _first(
        self, key: object, inputs: tuple[Tensor, ...], fixed: dict[str, int | None]
    ) -> Tensor:
        """Run it as it is, record it, and see whether the recording says the same."""
        own = tuple(x.clone() for x in inputs)
        plain = self._run(*own, **fixed).clone()
        try:
            outcome, replay = self._record(lambda: self._run(*own, **fixed))
            replay()
            apart = (outcome - plain).abs().max() / plain.abs().max().clamp(min=1e-6)
        except RuntimeError as error:
            return self._without(plain, str(error))
        if not apart <= _APART:
            return self._without(plain, f"the replay is {float(apart):.3g} from the pass itself")
        self._kept[key] = _Recording(own, outcome, replay)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return outcome

    def _without(self, plain: Tensor, why: str) -> Tensor:
        logger.warning("passes are launched kernel by kernel, which is slower: %s", why)
        self._works = False
        self.forget()
        return plain


def can_record(device: torch.device) -> bool:
    """Whether passes on a device can be recorded."""
    return device.type == "cuda"


def record(run: Pass) -> tuple[Tensor, Callable[[], None]]:
    """With CUDA graphs. Raises `RuntimeError` where a pass waits for the processor."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # libraries make their workspaces, which may not be recorded
        run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outcome = run()
    return outcome, graph.replay

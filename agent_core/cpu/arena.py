"""Weight arena: packed weights in few large allocations, so that huge pages fit under them."""

from __future__ import annotations

import torch
from torch import Tensor

from agent_core.device import use_large_pages


class Arena:
    """Memory in allocations of `block_bytes`, or of one request that is larger."""

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._blocks: list[Tensor] = []
        self._free = torch.empty(0, dtype=torch.uint8)

    def allocate(self, size: int) -> Tensor:
        """(size,) uint8, uninitialised."""
        if size > len(self._free):
            self._free = torch.empty(max(size, self._block_bytes), dtype=torch.uint8)
            self._blocks.append(self._free)
        allocated, self._free = self._free[:size], self._free[size:]
        return allocated

    def advise_huge_pages(self) -> None:
        """Once all weights are written."""
        for block in self._blocks:
            use_large_pages(block)

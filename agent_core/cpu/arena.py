"""Where do weights lie that our own code reads? In few large pieces, so that large pages fit under them."""

from __future__ import annotations

import torch
from torch import Tensor

from agent_core.device import use_large_pages


class Arena:
    """Memory in pieces of `piece` bytes, or of one taking that is larger."""

    def __init__(self, piece: int) -> None:
        self._piece = piece
        self._pieces: list[Tensor] = []
        self._left = torch.empty(0, dtype=torch.uint8)

    def take(self, size: int) -> Tensor:
        """(size,) bytes, not set."""
        if size > len(self._left):
            self._left = torch.empty(max(size, self._piece), dtype=torch.uint8)
            self._pieces.append(self._left)
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def settle(self) -> None:
        """Once all is written."""
        for piece in self._pieces:
            use_large_pages(piece)

"""How do windows of different lengths share rows? Whole windows behind each other, so that hardly a slot is padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_EIGHTS = 8
"""Fast attention kernels want lengths in eights."""


@dataclass(frozen=True)
class Packed:
    """Rows (R, P) of the tokens of B windows of L slots."""

    flat: Tensor
    """(R, P) which of the B * L slots stands here; 0 where none does."""
    filled: Tensor
    """(R, P) bool."""
    slots: int
    """L."""

    @property
    def window(self) -> Tensor:
        """(R, P) which window a token is of."""
        return self.flat // self.slots

    @property
    def slot(self) -> Tensor:
        """(R, P) its slot there."""
        return self.flat % self.slots

    def take(self, tokens: Tensor) -> Tensor:
        """(B, L, …) -> (R, P, …)."""
        return tokens.flatten(0, 1)[self.flat]

    def give_back(self, tokens: Tensor, windows: int) -> Tensor:
        """(R, P, D) -> (B, L, D), zeros where a slot holds no token."""
        out = tokens.new_zeros(windows * self.slots, tokens.shape[-1])
        out = out.index_put((self.flat[self.filled],), tokens[self.filled])
        return out.view(windows, self.slots, -1)


def pack(valid: Tensor) -> Packed:
    """Lay out the tokens of windows, `valid` (B, L) bool: the longest first, each in the first row with room."""
    count, slots = valid.shape
    lengths = valid.sum(1).tolist()
    room = -(-slots // _EIGHTS) * _EIGHTS
    free: list[int] = []
    row_of, begin_of = [0] * count, [0] * count
    for window in sorted(range(count), key=lambda w: -lengths[w]):
        length = lengths[window]
        row = next((r for r, left in enumerate(free) if left >= length), len(free))
        if row == len(free):
            free.append(room)
        row_of[window], begin_of[window] = row, room - free[row]
        free[row] -= length
    used = -(-(room - min(free)) // _EIGHTS) * _EIGHTS
    device = valid.device
    rows = torch.tensor(row_of, device=device)[:, None].expand(-1, slots)[valid]
    place = (torch.tensor(begin_of, device=device)[:, None] + valid.cumsum(1) - 1)[valid]
    flat = torch.zeros(len(free), used, dtype=torch.long, device=device)
    flat[rows, place] = torch.arange(count * slots, device=device).view(count, slots)[valid]
    filled = torch.zeros_like(flat, dtype=torch.bool)
    filled[rows, place] = True
    return Packed(flat, filled, slots)

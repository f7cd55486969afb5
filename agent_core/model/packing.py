"""Sequence packing: tokens of several windows side by side in one row, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedRows:
    """Which tokens stand in the decoder's rows: R rows of K instead of B windows of L slots."""

    gather_index: Tensor
    """(R, K) index of each token among the B * L slots; 0 where the row is not full."""
    mask: Tensor
    """(R, K) bool: whether there is a token."""
    scatter_index: Tensor
    """(B, L) index of each slot's token among the R * K; of another token where a slot is padding."""


def pack_sequences(valid: Tensor) -> PackedRows:
    """Lay the tokens of windows, `valid` (B, L) bool, side by side into as few rows as the longest window allows.

    Windows stay whole: the longest first, each into the first row with room. K is a multiple of eight, as fast
    attention kernels want it.
    """
    lengths = valid.sum(1).tolist()
    row_length = max(lengths) + -max(lengths) % 8
    used: list[int] = []
    begin = [0] * len(lengths)
    for window in sorted(range(len(lengths)), key=lambda w: -lengths[w]):
        fits = (r for r, taken in enumerate(used) if taken + lengths[window] <= row_length)
        row = next(fits, len(used))
        if row == len(used):
            used.append(0)
        begin[window] = row * row_length + used[row]
        used[row] += lengths[window]
    first = torch.tensor(begin, device=valid.device)
    scatter_index = first[:, None] + (valid.cumsum(1) - 1).clamp(min=0)
    gather_index = scatter_index.new_zeros(len(used) * row_length)
    gather_index[scatter_index[valid]] = valid.flatten().nonzero()[:, 0]
    mask = torch.zeros_like(gather_index, dtype=torch.bool)
    mask[scatter_index[valid]] = True
    return PackedRows(gather_index.view(-1, row_length), mask.view(-1, row_length), scatter_index)


def gather_rows(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index` (P, Q) of (M, N, …), counted through M and N -> (P, Q, …)."""
    return x.flatten(0, 1).index_select(0, index.flatten()).view(*index.shape, *x.shape[2:])

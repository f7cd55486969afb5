"""Sequence packing: short windows share a row of the decoder's batch, without padding between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedRows:
    """Index tables from B windows of L tokens to R packed rows of K tokens, and back."""

    gather_index: Tensor
    """(R, K) index of each packed token among the B * L tokens; 0 where the row is not full."""
    mask: Tensor
    """(R, K) bool: False for padding at the end of a row."""
    scatter_index: Tensor
    """(B, L) index of each token among the R * K packed ones; of some other token where it is padding."""


def pack_sequences(valid: Tensor) -> PackedRows:
    """Pack the tokens of windows, `valid` (B, L) bool, into rows as long as the longest window.

    A window is never split over rows. K is a multiple of eight, as fused attention kernels want it.
    """
    lengths = valid.sum(1).tolist()
    row_length = max(lengths) + -max(lengths) % 8
    starts, row_count = _first_fit(lengths, row_length)
    start = torch.tensor(starts, device=valid.device)
    # token k of a window goes to its start + k; padding repeats the index of the token before it
    scatter_index = start[:, None] + (valid.cumsum(1) - 1).clamp(min=0)  # (B, L)
    gather_index = scatter_index.new_zeros(row_count * row_length)
    gather_index[scatter_index[valid]] = valid.flatten().nonzero()[:, 0]
    mask = torch.zeros_like(gather_index, dtype=torch.bool)
    mask[scatter_index[valid]] = True
    return PackedRows(gather_index.view(-1, row_length), mask.view(-1, row_length), scatter_index)


def _first_fit(lengths: list[int], row_length: int) -> tuple[list[int], int]:
    """First-fit decreasing bin packing: where each window starts in the concatenated rows, and the number of rows."""
    used: list[int] = []  # tokens in each row
    starts = [0] * len(lengths)
    for window in sorted(range(len(lengths)), key=lambda w: -lengths[w]):
        fits = (r for r, length in enumerate(used) if length + lengths[window] <= row_length)
        row = next(fits, len(used))
        if row == len(used):
            used.append(0)
        starts[window] = row * row_length + used[row]
        used[row] += lengths[window]
    return starts, len(used)


def gather_rows(x: Tensor, index: Tensor) -> Tensor:
    """Entries `index` (P, Q) of x (M, N, …), flattened to (M * N, …) -> (P, Q, …)."""
    return x.flatten(0, 1).index_select(0, index.flatten()).view(*index.shape, *x.shape[2:])

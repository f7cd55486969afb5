"""Sequence packing: windows share rows of the decoder's batch, without padding between them, and their instruction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_MIN_ROW_LENGTH = 32
"""Rows are at least this long, so that several short windows of the same instruction find room in one."""


@dataclass(frozen=True)
class PackedRows:
    """Index tables from B windows of L tokens to R packed rows of K tokens, and back.

    Tokens that predict another stand at the end of their row, all others at its beginning, padding between them: the
    last layer computes the last `last_n` tokens of each row alone.
    """

    gather_index: Tensor
    """(R, K) index of each packed token among the B * L tokens; 0 for padding."""
    mask: Tensor
    """(R, K) bool: False for padding."""
    scatter_index: Tensor
    """(B, L) index of each predicting token among the R * `last_n` computed ones; others have that of the predicting
    token before them."""
    text_window: Tensor
    """(B,) window whose instruction stands for that of each window: one of its row with the same words."""
    last_n: int


def pack_sequences(valid: Tensor, predicting: Tensor, texts: Tensor) -> PackedRows:
    """Pack the `valid` tokens (B, L) of windows into rows; `predicting` (B, L) are those whose hidden state is needed.

    The first W tokens of a window are its instruction, `texts` (B, W) ids. A window is never split over rows, and a row
    holds an instruction once. K is a multiple of eight, as fused attention kernels want it.
    """
    batch, length = valid.shape
    is_text = torch.arange(length, device=valid.device) < texts.shape[1]  # (L,)
    window_row, text_window, row_length = _assign_rows(valid, is_text, texts)
    repeats = text_window != torch.arange(batch, device=valid.device)
    stored = valid & ~(repeats[:, None] & is_text)
    token, row, column, ends = _arrange_rows(stored, predicting, window_row, row_length)
    gather_index = token.new_zeros(len(ends), row_length)
    mask = torch.zeros_like(gather_index, dtype=torch.bool)
    gather_index[row, column], mask[row, column] = token, True
    last_n = _round_up(max(1, int(ends.max())))
    computed = token.new_zeros(batch * length)
    computed[token] = row * last_n + (column - row_length + last_n).clamp(min=0)
    computed = computed.view(batch, length)
    computed = torch.where(is_text, computed[text_window], computed)
    latest = torch.where(predicting & valid, torch.arange(length, device=valid.device), 0)
    scatter_index = computed.gather(1, latest.cummax(1).values)
    return PackedRows(gather_index, mask, scatter_index, text_window, last_n)


def _arrange_rows(
    stored: Tensor, predicting: Tensor, window_row: Tensor, row_length: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where `stored` tokens (B, L) go: index among the B * L, row, column (S,); number of predicting ones by row (R,).

    `window_row` (B,) is each window's row. Order within a row's beginning and within its end is that of the windows.
    """
    token = stored.flatten().nonzero()[:, 0]
    end = 2 * window_row[token // stored.shape[1]] + predicting.flatten()[token]
    end, order = end.sort(stable=True)  # beginning of row 0, its end, beginning of row 1, …
    sizes = torch.bincount(end, minlength=2 * (int(window_row.max()) + 1))
    rank = torch.arange(len(end), device=end.device) - (sizes.cumsum(0) - sizes)[end]
    column = torch.where(end % 2 == 1, row_length - sizes[end] + rank, rank)
    return token[order], end // 2, column, sizes[1::2]


def _assign_rows(valid: Tensor, is_text: Tensor, texts: Tensor) -> tuple[Tensor, Tensor, int]:
    """Row of each window (B,), the window whose instruction stands for its own (B,), and the length of rows."""
    text_ids = torch.unique(texts, dim=0, return_inverse=True)[1]
    windows = torch.stack([text_ids, (valid & is_text).sum(1), valid.sum(1)], 1).tolist()
    row_length = _round_up(max(_MIN_ROW_LENGTH, *(length for *_, length in windows)))
    rows, text_windows = _first_fit(windows, row_length)
    row, text_window = torch.tensor([rows, text_windows], device=valid.device)
    return row, text_window, row_length


def _round_up(count: int) -> int:
    return count + -count % 8


def _first_fit(windows: Sequence[Sequence[int]], row_length: int) -> tuple[list[int], list[int]]:
    """First-fit decreasing bin packing of windows, each the number of its instruction, its length and that of all.

    Windows of the same instruction are packed behind each other, first into rows that hold it already. Returns the row
    of each window, and the window whose instruction stands for its own.
    """
    group_lengths: dict[int, int] = defaultdict(int)
    for text, text_length, length in windows:
        group_lengths[text] += length - text_length
    order = sorted(
        range(len(windows)),
        key=lambda w: (-group_lengths[windows[w][0]], windows[w][0], -windows[w][2]),
    )
    used: list[int] = []  # tokens in each row
    texts: list[dict[int, int]] = []  # in each row: instructions and the windows they are of
    rows, text_windows = [0] * len(windows), [0] * len(windows)
    for window in order:
        text, text_length, length = windows[window]
        added = [length - text_length * (text in held) for held in texts]
        fits = [r for r, tokens in enumerate(used) if tokens + added[r] <= row_length]
        row = min(fits, key=added.__getitem__, default=len(used))
        if row == len(used):
            used.append(0)
            texts.append({})
            added.append(length)
        used[row] += added[row]
        rows[window], text_windows[window] = row, texts[row].setdefault(text, window)
    return rows, text_windows


def gather_rows(x: Tensor, index: Tensor) -> Tensor:
    """Entries `index` (P, Q) of x (M, N, …), flattened to (M * N, …) -> (P, Q, …)."""
    return x.flatten(0, 1).index_select(0, index.flatten()).view(*index.shape, *x.shape[2:])

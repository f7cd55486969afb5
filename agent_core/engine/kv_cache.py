"""KV cache of all sessions: keys and values of the decoder and of the vision tower's temporal attention.

One row per session; `agent_core.engine.cache_layout` defines the cache slots of a row. On a GPU the two forward passes
(encode frames, forward through the decoder) are captured as CUDA graphs (`agent_core.engine.cuda_graphs`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent_core.device import use_large_pages
from agent_core.engine.cache_layout import CacheLayout, Indices, TokenPositions
from agent_core.engine.cuda_graphs import CaptureFn, GraphedFunction
from agent_core.model import IAFM
from agent_core.model.vit import TemporalKVCache
from games import Frame

_LENGTH_MULTIPLE = 4
"""With CUDA graphs the number of new tokens is rounded up to this, so that few shapes are captured."""


class KVCache:
    """The KV cache of a model; rows of closed sessions are reused.

    `kv` (layers, 2, rows, heads, cache slots, h): keys and values of the decoder. `global_token` (rows, D): the
    whole-frame token of each session's newest frame, which its action tokens are conditioned on. `conditioning`
    (rows, C or 2 C): what each session's instruction adds to the stem; None in models without text conditioning.
    """

    def __init__(
        self,
        model: IAFM,
        condition_on_actions: bool,
        num_candidates: int,
        capture: CaptureFn | None = None,
    ) -> None:
        """An empty cache; `capture` captures forward passes as CUDA graphs, None runs them eagerly."""
        self.model, config = model, model.config
        weight = model.token.weight
        self.device, self._dtype = weight.device, weight.dtype
        self.layout = CacheLayout(config, condition_on_actions, num_candidates)
        heads, size = config.heads, config.width // config.heads
        self.kv = self._zeros(config.layers, 2, 0, heads, self.layout.num_cache_slots, size)
        self.global_token = self._zeros(0, config.width)
        self.conditioning: Tensor | None = None
        if model.text_conditioning is not None:
            self.conditioning = self._zeros(0, model.text_conditioning.channels)
        patches = config.patch_grid[0] * config.patch_grid[1] + 1
        temporal = config.is_vit_opt and config.temporal_attention
        self._temporal_kv = self._zeros(
            config.layers if temporal else 0, 2, 0, patches, heads, config.context_frames, size
        )
        self._encode: Callable[..., Tensor] = self._eager_encoder
        self._forward: Callable[..., Tensor] = self._forward_eager
        self.graphs: tuple[GraphedFunction, ...] = ()
        if capture is not None:
            self.graphs = (
                GraphedFunction(self._encode, capture),
                GraphedFunction(self._forward, capture),
            )
            self._encode, self._forward = self.graphs

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.layout)

    @property
    def bytes_per_session(self) -> int:
        """Bytes of keys and values in one row."""
        tables = self.kv, self._temporal_kv
        return sum(table.nbytes // max(1, table.shape[2]) for table in tables)

    def disable_cuda_graphs(self) -> None:
        """Run all further forward passes eagerly."""
        self._encode, self._forward, self.graphs = self._eager_encoder, self._forward_eager, ()

    def grow(self, more: int) -> None:
        """Append `more` empty rows; the old ones are copied, and captured graphs are dropped."""
        rows = len(self)

        def with_rows(table: Tensor, dim: int = 0) -> Tensor:
            shape = [n + more if d == dim else n for d, n in enumerate(table.shape)]
            new = table.new_zeros(shape)
            new.narrow(dim, 0, rows).copy_(table)
            return new

        self.kv = with_rows(self.kv, 2)
        self._temporal_kv = with_rows(self._temporal_kv, 2)
        self.global_token = with_rows(self.global_token)
        if self.conditioning is not None:
            self.conditioning = with_rows(self.conditioning)
        for table in (self.kv, self._temporal_kv):
            use_large_pages(table)
        self.layout.grow(more)
        for graph in self.graphs:  # they captured the addresses of the old tables
            graph.reset()

    def to_device(self, array: NDArray[Any]) -> Tensor:
        """An array as a tensor on the cache's device."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":  # a copy from pinned memory does not block the CPU
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def slot_index(self, batch_slots: Sequence[int]) -> Tensor | slice:
        """Index of rows: a slice where they are contiguous (no copy of the cache) and nothing is captured."""
        first, count = batch_slots[0], len(batch_slots)
        if not self.graphs and batch_slots == list(range(first, first + count)):
            return slice(first, first + count)
        return self.to_device(np.array(batch_slots))

    def encode_frames(
        self, frames: Sequence[Frame], batch_slots: Indices, frame_index: Indices
    ) -> Tensor:
        """Visual tokens (B, V, D) of one new frame per session: the frames `frame_index` (B,) of rows (B,).

        Temporal attention has a ring buffer of its own, of the T frames it attends to.
        """
        stacked, config = self.to_device(np.stack(frames)), self.model.config
        if self.conditioning is not None:
            return self._encode(stacked, self.conditioning[self.slot_index(batch_slots.tolist())])
        if not (config.is_vit_opt and config.temporal_attention):
            return self._encode(stacked)
        length = config.context_frames
        age = (frame_index[:, None] - np.arange(length)) % length  # (B, T) of each ring entry
        mask = self._zeros(len(frame_index), length)
        mask.masked_fill_(
            self.to_device(age > frame_index[:, None]), float("-inf")
        )  # not yet there
        block = frame_index % length
        if len(batch_slots) == 1 and not self.graphs:
            slot = slice(batch_slots[0], batch_slots[0] + 1)
            return self._encode(stacked, mask, slot, int(block[0]))
        return self._encode(stacked, mask, self.to_device(batch_slots), self.to_device(block))

    def forward_cached(
        self,
        batch_slots: Sequence[int],
        x: Tensor,
        groups: Sequence[TokenPositions],
        last_n: int | None = None,
    ) -> Tensor:
        """Run new tokens through the decoder against the KV cache, which takes their keys and values.

        `x` (B, Q, D) holds the tokens of all `groups`, one group after another. Returns hidden states (B, Q, D), or
        (B, last_n, D) of the last tokens alone.
        """
        layout, length = self.layout, max(map(self.layout.attended_length, groups))
        bias_index = np.concatenate([layout.attention_index(group, length) for group in groups], 1)
        cache_slots = np.concatenate([layout.cache_slots(group) for group in groups], 1)
        padding = -x.shape[1] % _LENGTH_MULTIPLE if self.graphs else 0
        if padding:  # repeat the last token at its own cache slot, which rewrites the same values
            x = torch.cat([x, x[:, -1:].expand(-1, padding, -1)], 1)
            bias_index = _repeat_last(bias_index, padding)
            cache_slots = _repeat_last(cache_slots, padding)
        slots_on_device = position_ids = self.to_device(cache_slots)
        if self.model.config.is_vit_opt:  # absolute positions differ from cache slots
            positions = np.concatenate([layout.position_ids(group) for group in groups], 1)
            position_ids = self.to_device(_repeat_last(positions, padding))
        hidden = self._forward(
            x,
            self.to_device(bias_index),
            self.slot_index(batch_slots),
            slots_on_device,
            position_ids,
            length=length,
            last_n=last_n and last_n + padding,
        )
        return hidden[:, : hidden.shape[1] - padding]

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, device=self.device, dtype=self._dtype)

    @property
    def _eager_encoder(self) -> Callable[..., Tensor]:
        if self.model.config.is_vit_opt and self.model.config.temporal_attention:
            return self._encode_temporal
        return self._encode_frames

    def _encode_frames(self, frames: Tensor, conditioning: Tensor | None = None) -> Tensor:
        """Frames (B, H, W, 3) uint8 and, with text conditioning, what it gives each (B, C or 2 C)."""
        return self.model.encode_frame(frames, conditioning=conditioning)

    def _encode_temporal(self, frames: Tensor, mask: Tensor, *slot_and_block: Any) -> Tensor:
        """Frames (B, H, W, 3) uint8, the mask of temporal attention (B, T), and each frame's row and block."""
        temporal_mask = mask.t()[:, :, None]  # (T, B, 1), broadcast over places and heads
        temporal_kv = TemporalKVCache(self._temporal_kv, temporal_mask, *slot_and_block)
        return self.model.encode_frame(frames, temporal_kv)

    def _forward_eager(
        self,
        x: Tensor,
        bias_index: Tensor,
        batch_slots: Tensor | slice,
        cache_slots: Tensor,
        position_ids: Tensor,
        *,
        length: int,
        last_n: int | None,
    ) -> Tensor:
        kv = self.kv[:, :, :, :, :length]  # a view: later slots take no part
        return self.model.decoder.forward_cached(
            x, bias_index, kv, batch_slots, cache_slots, position_ids, last_n
        )


def _repeat_last(array: NDArray[Any], times: int) -> NDArray[Any]:
    """(B, Q, …) with its last token repeated."""
    return np.concatenate([array, array[:, -1:].repeat(times, 1)], 1) if times else array

"""What do players remember, and how does a pass read and write it? Tables of keys and values, a row for each player.

`agent_core.engine.cache_layout` tells what stands where in a row. On a GPU passes are recorded (`agent_core.engine.cuda_graphs`).
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
from agent_core.engine.cuda_graphs import GraphedFunction, can_capture, capture
from agent_core.model import IAFM
from agent_core.model.vit import TemporalKVCache
from games import Frame

_LENGTH_MULTIPLE = 4
"""Numbers of tokens are multiples of this where passes are recorded, so that shapes come again."""


class KVCache:
    """The rows of all players of a model; those of players who left stay for others.

    `cache` (layers, 2, rows, heads, slots, h): the decoder's keys and values; `glance` (rows, D): the newest frame's
    whole-picture token.
    """

    def __init__(self, model: IAFM, condition_on_actions: bool, num_candidates: int) -> None:
        self.model, config = model, model.config
        weight = model.token.weight
        self.device, self._dtype = weight.device, weight.dtype
        self.layout = CacheLayout(config, condition_on_actions, num_candidates)
        heads, size = config.heads, config.width // config.heads
        self.kv = self._zeros(config.layers, 2, 0, heads, self.layout.slots, size)
        self.global_token = self._zeros(0, config.width)
        patches = config.patch_grid[0] * config.patch_grid[1] + 1
        looks_back = config.is_vit_opt and config.temporal_attention
        self._temporal_kv = self._zeros(
            config.layers if looks_back else 0, 2, 0, patches, heads, config.context_frames, size
        )
        self._encode: Callable[..., Tensor] = self._encode_eager
        self._forward: Callable[..., Tensor] = self._forward_eager
        self.graphs: tuple[GraphedFunction, ...] = ()
        if can_capture(self.device):
            self.graphs = (
                GraphedFunction(self._encode, capture),
                GraphedFunction(self._forward, capture),
            )
            self._encode, self._forward = self.graphs

    def __len__(self) -> int:
        """Rows there are."""
        return len(self.layout)

    @property
    def bytes_per_session(self) -> int:
        """What one row takes."""
        tables = self.kv, self._temporal_kv
        return sum(table.nbytes // max(1, table.shape[2]) for table in tables)

    def disable_cuda_graphs(self) -> None:
        """Passes are recorded no more."""
        self._encode, self._forward, self.graphs = self._encode_eager, self._forward_eager, ()

    def grow(self, more: int) -> None:
        """So many rows more, all empty; what is there is copied."""
        have = len(self)

        def longer(table: Tensor, dim: int = 0) -> Tensor:
            shape = [n + more if d == dim else n for d, n in enumerate(table.shape)]
            new = table.new_zeros(shape)
            new.narrow(dim, 0, have).copy_(table)
            return new

        self.kv = longer(self.kv, 2)
        self._temporal_kv = longer(self._temporal_kv, 2)
        self.global_token = longer(self.global_token)
        for table in (self.kv, self._temporal_kv):
            use_large_pages(table)
        self.layout.grow(more)
        for one in self.graphs:
            one.reset()

    def to_device(self, numbers: NDArray[Any]) -> Tensor:
        """On the memory's device."""
        there = torch.from_numpy(numbers)
        if self.device.type == "cuda":  # nobody waits for copies of memory that stays in place
            there = there.pin_memory()
        return there.to(self.device, non_blocking=True)

    def slot_index(self, slots: Sequence[int]) -> Tensor | slice:
        """Rows as a slice where they follow each other (no copy) and nothing is recorded."""
        if not self.graphs and slots == list(range(slots[0], slots[0] + len(slots))):
            return slice(slots[0], slots[0] + len(slots))
        return self.to_device(np.array(slots))

    def encode_frames(self, frames: Sequence[Frame], slots: Indices, now: Indices) -> Tensor:
        """Visual tokens (B, V, D) of the new frames `now` (B,) of rows (B,), in the light of the earlier ones.

        What attention over time remembers is a ring of its own, of as many frames as are seen.
        """
        pictures, config = self.to_device(np.stack(frames)), self.model.config
        if not (config.is_vit_opt and config.temporal_attention):
            return self._encode(pictures)
        length = config.context_frames
        ago = (now[:, None] - np.arange(length)) % length
        bias = self._zeros(len(now), length)
        bias.masked_fill_(self.to_device(ago > now[:, None]), float("-inf"))
        block = now % length
        if len(slots) == 1 and not self.graphs:
            return self._encode(pictures, bias, slice(slots[0], slots[0] + 1), int(block[0]))
        return self._encode(pictures, bias, self.to_device(slots), self.to_device(block))

    def forward_cached(
        self,
        slots: Sequence[int],
        x: Tensor,
        groups: Sequence[TokenPositions],
        last_n: int | None = None,
    ) -> Tensor:
        """Run tokens (B, Q, D), those of all `groups` behind each other, against the cache.

        Of the last `tail` tokens the outcome is wanted.
        """
        layout, length = self.layout, max(map(self.layout.attended_length, groups))
        seen = np.concatenate([layout.attention_index(tokens, length) for tokens in groups], 1)
        cache_slots = np.concatenate([layout.cache_slots(tokens) for tokens in groups], 1)
        more = -x.shape[1] % _LENGTH_MULTIPLE if self.graphs else 0
        if more:  # the last token once more, at its own place
            x = torch.cat([x, x[:, -1:].expand(-1, more, -1)], 1)
            seen, cache_slots = _repeat_last(seen, more), _repeat_last(cache_slots, more)
        here = places = self.to_device(cache_slots)
        if self.model.config.is_vit_opt:
            ordered = np.concatenate([layout.position_ids(tokens) for tokens in groups], 1)
            places = self.to_device(_repeat_last(ordered, more))
        columns, where = self.to_device(seen), self.slot_index(slots)
        wanted = last_n and last_n + more
        hidden = self._forward(x, columns, where, here, places, length=length, last_n=wanted)
        return hidden[:, : hidden.shape[1] - more]

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, device=self.device, dtype=self._dtype)

    def _encode_eager(self, pictures: Tensor, bias: Tensor | None = None, *where: Any) -> Tensor:
        memory = None
        if bias is not None:
            memory = TemporalKVCache(self._temporal_kv, bias.t()[:, :, None], *where)
        return self.model.encode_frame(pictures, memory)

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
        cache = self.kv[:, :, :, :, :length]
        return self.model.decoder.forward_cached(
            x, bias_index, cache, batch_slots, cache_slots, position_ids, last_n
        )


def _repeat_last(numbers: NDArray[Any], more: int) -> NDArray[Any]:
    """(B, Q, …) with the last token `more` times more."""
    return np.concatenate([numbers, numbers[:, -1:].repeat(more, 1)], 1) if more else numbers

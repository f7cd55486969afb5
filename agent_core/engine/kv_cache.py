"""What do players remember, and how does a pass read and write it? Tables of keys and values, a row for each player.

`agent_core.engine.cache_layout` tells what stands where in a row. On a GPU passes are recorded
(`agent_core.engine.cuda_graphs`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent_core.device import use_large_pages
from agent_core.engine.cache_layout import Indices, Ring, Tokens
from agent_core.engine.cuda_graphs import Replayed, can_record, record
from agent_core.model import IAFM
from agent_core.model.vit import FrameMemory
from games import Frame

_LENGTHS = 4
"""Numbers of tokens are multiples of this where passes are recorded, so that shapes come again."""


class Memory:
    """The rows of all players of a model; those of players who left stay for others.

    `cache` (layers, 2, rows, heads, slots, h): the decoder's keys and values; `glance` (rows, D): the newest frame's
    whole-picture token.
    """

    def __init__(self, model: IAFM, show_actions: bool, alternatives: int) -> None:
        self.model, config = model, model.config
        weight = model.token.weight
        self.device, self._dtype = weight.device, weight.dtype
        self.ring = Ring(config, show_actions, alternatives)
        heads, size = config.heads, config.width // config.heads
        self.cache = self._room(config.layers, 2, 0, heads, self.ring.slots, size)
        self.glance = self._room(0, config.width)
        patches = config.patch_grid[0] * config.patch_grid[1] + 1
        looks_back = config.is_paper and config.temporal_attention
        self._over_time = self._room(
            config.layers if looks_back else 0, 2, 0, patches, heads, config.memory_frames, size
        )
        self._see: Callable[..., Tensor] = self._see_new
        self._extend: Callable[..., Tensor] = self._extend_cache
        self.recorded: tuple[Replayed, ...] = ()
        if can_record(self.device):
            self.recorded = Replayed(self._see, record), Replayed(self._extend, record)
            self._see, self._extend = self.recorded

    def __len__(self) -> int:
        """Rows there are."""
        return len(self.ring)

    @property
    def bytes_of_one(self) -> int:
        """What one row takes."""
        tables = self.cache, self._over_time
        return sum(table.nbytes // max(1, table.shape[2]) for table in tables)

    def launch_plainly(self) -> None:
        """Passes are recorded no more."""
        self._see, self._extend, self.recorded = self._see_new, self._extend_cache, ()

    def grow(self, more: int) -> None:
        """So many rows more, all empty; what is there is copied."""
        have = len(self)

        def longer(table: Tensor, dim: int = 0) -> Tensor:
            shape = [n + more if d == dim else n for d, n in enumerate(table.shape)]
            new = table.new_zeros(shape)
            new.narrow(dim, 0, have).copy_(table)
            return new

        self.cache = longer(self.cache, 2)
        self._over_time = longer(self._over_time, 2)
        self.glance = longer(self.glance)
        for table in (self.cache, self._over_time):
            use_large_pages(table)
        self.ring.grow(more)
        for one in self.recorded:
            one.forget()

    def tensor(self, numbers: NDArray[Any]) -> Tensor:
        """On the memory's device."""
        there = torch.from_numpy(numbers)
        if self.device.type == "cuda":  # nobody waits for copies of memory that stays in place
            there = there.pin_memory()
        return there.to(self.device, non_blocking=True)

    def index(self, rows: Sequence[int]) -> Tensor | slice:
        """Rows as a slice where they follow each other (no copy) and nothing is recorded."""
        if not self.recorded and rows == list(range(rows[0], rows[0] + len(rows))):
            return slice(rows[0], rows[0] + len(rows))
        return self.tensor(np.array(rows))

    def see(self, frames: Sequence[Frame], rows: Indices, now: Indices) -> Tensor:
        """Visual tokens (B, V, D) of the new frames `now` (B,) of rows (B,), in the light of the earlier ones.

        What attention over time remembers is a ring of its own, of as many frames as are seen.
        """
        pictures, config = self.tensor(np.stack(frames)), self.model.config
        if not (config.is_paper and config.temporal_attention):
            return self._see(pictures)
        length = config.memory_frames
        ago = (now[:, None] - np.arange(length)) % length
        bias = self._room(len(now), length)
        bias.masked_fill_(self.tensor(ago > now[:, None]), float("-inf"))
        block = now % length
        if len(rows) == 1 and not self.recorded:
            return self._see(pictures, bias, slice(rows[0], rows[0] + 1), int(block[0]))
        return self._see(pictures, bias, self.tensor(rows), self.tensor(block))

    def write(
        self, rows: Sequence[int], x: Tensor, groups: Sequence[Tokens], tail: int | None = None
    ) -> Tensor:
        """Run tokens (B, Q, D), those of all `groups` behind each other, against the cache.

        Of the last `tail` tokens the outcome is wanted.
        """
        ring, used = self.ring, max(map(self.ring.used, groups))
        seen = np.concatenate([ring.sight(tokens, used) for tokens in groups], 1)
        slots = np.concatenate([ring.slots_of(tokens) for tokens in groups], 1)
        more = -x.shape[1] % _LENGTHS if self.recorded else 0
        if more:  # the last token once more, at its own place
            x = torch.cat([x, x[:, -1:].expand(-1, more, -1)], 1)
            seen, slots = _longer(seen, more), _longer(slots, more)
        here = places = self.tensor(slots)
        if self.model.config.is_paper:
            ordered = np.concatenate([ring.places_of(tokens) for tokens in groups], 1)
            places = self.tensor(_longer(ordered, more))
        columns, where = self.tensor(seen), self.index(rows)
        wanted = tail and tail + more
        hidden = self._extend(x, columns, where, here, places, used=used, tail=wanted)
        return hidden[:, : hidden.shape[1] - more]

    def _room(self, *shape: int) -> Tensor:
        return torch.zeros(shape, device=self.device, dtype=self._dtype)

    def _see_new(self, pictures: Tensor, bias: Tensor | None = None, *where: Any) -> Tensor:
        memory = None
        if bias is not None:
            memory = FrameMemory(self._over_time, bias.t()[:, :, None], *where)
        return self.model.look(pictures, memory)

    def _extend_cache(
        self,
        x: Tensor,
        columns: Tensor,
        rows: Tensor | slice,
        slots: Tensor,
        places: Tensor,
        *,
        used: int,
        tail: int | None,
    ) -> Tensor:
        cache = self.cache[:, :, :, :, :used]
        return self.model.decoder.extend(x, columns, cache, rows, slots, places, tail)


def _longer(numbers: NDArray[Any], more: int) -> NDArray[Any]:
    """(B, Q, …) with the last token `more` times more."""
    return np.concatenate([numbers, numbers[:, -1:].repeat(more, 1)], 1) if more else numbers

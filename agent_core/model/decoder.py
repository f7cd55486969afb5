"""What follows from what was seen and said? A pre-norm transformer, over whole windows or over a cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agent_core.config import ModelConfig
from agent_core.model.block import Block

_OPT_OFFSET = 2
"""OPT's position table begins with two rows that no token takes."""

DecoderKernel = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, int | None], Tensor]
"""Tokens, columns, cache, rows, slots and tail, as `Decoder.extend` takes them."""


class Decoder(nn.Module):
    """The stack of blocks, and what tells it where a token stands.

    Compact models: a learned bias over the distance in frames, so that a cache may slide. Columns of `time_bias`
    (heads, T + 2): distances 0 … T-1, then text seen from frames, then text seen from text.
    The paper's: OPT's learned absolute positions, `position` (2050, D), added where tokens enter.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        activation = "relu" if config.is_vit_opt else "gelu"
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, activation) for _ in range(config.layers)
        )
        self.norm: nn.Module = nn.LayerNorm(config.width)
        self.custom_forward: DecoderKernel | None = None
        """Computes all blocks in play instead of them (`agent_core.cpu.paper`, `agent_core.cpu.compact`)."""
        self.is_vit_opt = config.is_vit_opt
        if self.is_vit_opt:
            self.position = nn.Embedding(config.positions + _OPT_OFFSET, config.width)
            nn.init.normal_(self.position.weight, std=0.02)
        else:
            self.time_bias = nn.Parameter(torch.zeros(config.heads, config.context_frames + 2))
        for block in self.blocks:
            assert isinstance(block, Block)
            for out in (block.attention_out, block.mlp_out):
                nn.init.normal_(out.weight, std=(2 * config.layers * out.in_features) ** -0.5)

    def time_bias_for(self, bias_index: Tensor) -> Tensor:
        """The bias of columns (…) -> (heads, …), or (1, …) where positions are absolute; -inf for the column -1."""
        if self.is_vit_opt:
            nothing = self.position.weight.new_zeros((1, *bias_index.shape))
            return nothing.masked_fill_(bias_index < 0, float("-inf"))
        table = F.pad(self.time_bias, (0, 1), value=float("-inf"))
        return table[:, bias_index.long()]

    def add_positions(self, x: Tensor, position_ids: Tensor) -> Tensor:
        """Tell tokens (B, Q, D) their absolute places (B, Q), where the model has such."""
        if not self.is_vit_opt:
            return x
        out: Tensor = x + self.position(position_ids + _OPT_OFFSET)
        return out

    def forward(self, x: Tensor, bias: Tensor, position_ids: Tensor) -> Tensor:
        """A whole window: (B, L, D) at places (B, L) under a bias (B, heads, L, L) -> (B, L, D)."""
        x = self.add_positions(x, position_ids)
        for block in self.blocks:
            x = block(x, bias)
        out: Tensor = self.norm(x)
        return out

    def forward_cached(
        self,
        x: Tensor,
        bias_index: Tensor,
        cache: Tensor,
        batch_slots: Tensor | slice,
        cache_slots: Tensor,
        position_ids: Tensor | None = None,
        last_n: int | None = None,
    ) -> Tensor:
        """New tokens against a cache: (B, Q, D) -> (B, Q, D), their keys and values written to the cache.

        `cache` (layers, 2, rows, heads, slots, h); `rows` picks the B sessions, `slots` (B, Q) where in the cache;
        `places` where they differ from that; `columns` (B, Q, slots) say what each token sees, as in `relative`. Where
        only the last `tail` tokens are wanted, (B, tail, D) comes back.
        """
        x = self.add_positions(x, cache_slots if position_ids is None else position_ids)
        every = torch.arange(cache.shape[2], device=x.device)
        slot_index = every[batch_slots] if isinstance(batch_slots, slice) else batch_slots
        if self.custom_forward is not None:
            found: Tensor = self.norm(
                self.custom_forward(x, bias_index, cache, slot_index, cache_slots, last_n)
            )
            return found
        index = slot_index[:, None]
        bias = self.time_bias_for(bias_index).transpose(0, 1)
        alone = len(cache_slots) == 1 and isinstance(batch_slots, slice) and x.device.type == "cpu"
        runs = _contiguous_runs(cache_slots[0].tolist()) if alone else []
        places_of_runs = [cache[:, :, batch_slots, :, place].unbind(0) for _, place in runs]
        for layer, (block, layer_kv) in enumerate(zip(self.blocks, cache.unbind(0), strict=True)):
            assert isinstance(block, Block)
            q, kv = block.project(x)
            if runs:
                for (tokens, _), place in zip(runs, places_of_runs, strict=True):
                    place[layer].copy_(kv[..., tokens, :])
            else:
                layer_kv[:, index, :, cache_slots] = kv.permute(1, 3, 0, 2, 4)
            if last_n is not None and layer == len(self.blocks) - 1:
                x, q, bias = x[:, -last_n:], q[:, :, -last_n:], bias[:, :, -last_n:]
            x = block.attention_and_mlp(x, q, layer_kv[:, batch_slots], bias)
        out: Tensor = self.norm(x)
        return out


def _contiguous_runs(slots: list[int]) -> list[tuple[slice, slice]]:
    """Tokens whose slots lie at even distances, as slices of both: a copy is much faster than writing by index."""
    runs: list[tuple[slice, slice]] = []
    begin = 0
    while begin < len(slots):
        end = begin + 1
        step = slots[end] - slots[begin] if end < len(slots) else 1
        while step > 0 and end < len(slots) and slots[end] - slots[end - 1] == step:
            end += 1
        stop = slots[begin] + (end - begin - 1) * max(step, 1) + 1
        runs.append((slice(begin, end), slice(slots[begin], stop, max(step, 1))))
        begin = end
    return runs

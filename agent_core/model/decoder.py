"""Decoder: a pre-norm transformer, over whole windows in training and over a KV cache at inference."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agent_core.config import ModelConfig
from agent_core.model.block import Block

_OPT_OFFSET = 2
"""OPT's position table begins with two unused rows."""

DecoderKernel = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, int | None], Tensor]
"""Tokens, bias index, KV cache, batch slots, cache slots and last_n, as `Decoder.forward_cached` takes them."""
KVWriter = Callable[[int, Tensor], None]
"""Writes a layer's new keys and values (2, B, heads, Q, h) to the KV cache."""


class Decoder(nn.Module):
    """Transformer blocks with a time bias or with absolute positions.

    Compact models: a learned bias over the distance in frames, so that the KV cache may slide. Columns of `time_bias`
    (heads, T + 2): distances 0 … T-1, then text seen from a frame, then text seen from text.
    The paper's: OPT's learned absolute positions, `position` (2050, D), added to the embeddings.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        activation = "relu" if config.is_vit_opt else "gelu"
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, activation) for _ in range(config.layers)
        )
        self.norm: nn.Module = nn.LayerNorm(config.width)
        self.custom_forward: DecoderKernel | None = None
        """Replaces all blocks at inference (`agent_core.cpu.paper`, `agent_core.cpu.compact`)."""
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
        """Additive attention bias (heads, …) of a bias index (…), -inf for -1; (1, …) where positions are absolute."""
        if self.is_vit_opt:
            zeros = self.position.weight.new_zeros((1, *bias_index.shape))
            return zeros.masked_fill_(bias_index < 0, float("-inf"))
        table = F.pad(self.time_bias, (0, 1), value=float("-inf"))  # index -1 takes the last column
        return table[:, bias_index.long()]

    def add_positions(self, x: Tensor, position_ids: Tensor) -> Tensor:
        """Add position embeddings of ids (B, Q) to tokens (B, Q, D), in models with absolute positions."""
        if not self.is_vit_opt:
            return x
        out: Tensor = x + self.position(position_ids + _OPT_OFFSET)
        return out

    def forward(self, x: Tensor, bias: Tensor, position_ids: Tensor, last_n: int) -> Tensor:
        """Rows (R, K, D), position ids (R, K), bias (R, heads or 1, K, K) -> hidden states (R, last_n, D).

        Those of the last tokens of each row; of the others the last layer computes keys and values alone.
        """
        x = self.add_positions(x, position_ids)
        for layer, block in enumerate(self.blocks):
            x = block(x, bias, last_n if layer == len(self.blocks) - 1 else None)
        out: Tensor = self.norm(x)
        return out

    def forward_cached(
        self,
        x: Tensor,
        bias_index: Tensor,
        kv_cache: Tensor,
        batch_slots: Tensor | slice,
        cache_slots: Tensor,
        position_ids: Tensor | None = None,
        last_n: int | None = None,
    ) -> Tensor:
        """New tokens (B, Q, D) against a KV cache, which takes their keys and values -> hidden states (B, Q, D).

        `kv_cache` (layers, 2, rows, heads, L, h); `batch_slots` are the rows of the B sessions, `cache_slots` (B, Q)
        the new tokens' slots among the L. `bias_index` (B, Q, L) as `time_bias_for` takes it. `position_ids` (B, Q)
        default to the cache slots. With `last_n`, only hidden states (B, last_n, D) of the last tokens are computed.
        """
        x = self.add_positions(x, cache_slots if position_ids is None else position_ids)
        if self.custom_forward is not None:
            rows = _row_index(kv_cache, batch_slots)
            hidden: Tensor = self.norm(
                self.custom_forward(x, bias_index, kv_cache, rows, cache_slots, last_n)
            )
            return hidden
        bias = self.time_bias_for(bias_index).transpose(0, 1)  # (B, heads or 1, Q, L)
        write_kv = _kv_writer(kv_cache, batch_slots, cache_slots)
        for layer, (block, layer_kv) in enumerate(
            zip(self.blocks, kv_cache.unbind(0), strict=True)
        ):
            assert isinstance(block, Block)
            q, kv = block.project(x)
            write_kv(layer, kv)
            if last_n is not None and layer == len(self.blocks) - 1:
                # no later layer needs the other tokens' hidden states: their keys and values are enough
                x, q, bias = x[:, -last_n:], q[:, :, -last_n:], bias[:, :, -last_n:]
            x = block.attention_and_mlp(x, q, layer_kv[:, batch_slots], bias)
        out: Tensor = self.norm(x)
        return out


def _row_index(kv_cache: Tensor, batch_slots: Tensor | slice) -> Tensor:
    """(B,) rows of the KV cache."""
    if isinstance(batch_slots, slice):
        return torch.arange(kv_cache.shape[2], device=kv_cache.device)[batch_slots]
    return batch_slots


def _kv_writer(kv_cache: Tensor, batch_slots: Tensor | slice, cache_slots: Tensor) -> KVWriter:
    """How new keys and values get to their cache slots (B, Q), the same in every layer."""
    one_session = len(cache_slots) == 1 and isinstance(batch_slots, slice)
    if one_session and kv_cache.device.type == "cpu":
        return _run_writer(kv_cache, batch_slots, cache_slots[0].tolist())
    layers, rows = kv_cache.unbind(0), _row_index(kv_cache, batch_slots)[:, None]  # (B, 1)

    def write(layer: int, kv: Tensor) -> None:
        # two index tensors (B, 1) and (B, Q) with a slice between them: their dimensions come first
        layers[layer][:, rows, :, cache_slots] = kv.permute(1, 3, 0, 2, 4)  # (B, Q, 2, heads, h)

    return write


def _run_writer(kv_cache: Tensor, batch_slots: Tensor | slice, cache_slots: list[int]) -> KVWriter:
    """For a single session on a CPU: strided copies, which are much faster than writing by index."""
    runs = _contiguous_runs(cache_slots)
    views = [kv_cache[:, :, batch_slots, :, slots].unbind(0) for _, slots in runs]

    def write(layer: int, kv: Tensor) -> None:
        for (tokens, _), view in zip(runs, views, strict=True):
            view[layer].copy_(kv[..., tokens, :])  # (2, 1, heads, tokens of the run, h)

    return write


def _contiguous_runs(cache_slots: list[int]) -> list[tuple[slice, slice]]:
    """Runs of tokens whose cache slots have a constant step: slices of the tokens and of the cache slots."""
    runs: list[tuple[slice, slice]] = []
    begin = 0
    while begin < len(cache_slots):
        end = begin + 1
        step = cache_slots[end] - cache_slots[begin] if end < len(cache_slots) else 1
        while (
            step > 0 and end < len(cache_slots) and cache_slots[end] - cache_slots[end - 1] == step
        ):
            end += 1
        stride = max(step, 1)  # a repeated slot ends its run
        stop = cache_slots[begin] + (end - begin - 1) * stride + 1
        runs.append((slice(begin, end), slice(cache_slots[begin], stop, stride)))
        begin = end
    return runs

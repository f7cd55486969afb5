"""What follows from what was seen and said? A pre-norm transformer, over whole windows or over a cache."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agent_core.config import ModelConfig


class Block(nn.Module):
    """Attention and feed-forward of one layer; the caller holds keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 4 * width)
        self.feed_out = nn.Linear(4 * width, width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, Q, D) -> query, key, value, each (B, Q, heads, D / heads)."""
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(2, (3, self.heads, -1)).unbind(2)
        return q, k, v

    def mix(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """Attend with (B, L, heads, h) keys and values under an additive bias (B, heads, Q, L)."""
        seen = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=bias.to(q.dtype)
        )
        x = x + self.attention_out(seen.transpose(1, 2).flatten(2))
        out: Tensor = x + self.feed_out(F.gelu(self.feed_in(self.feed_norm(x)), approximate="tanh"))
        return out


class Decoder(nn.Module):
    """The stack of blocks and its learned bias over distance in frames.

    Columns of `time_bias` (heads, T + 2): distances 0 … T-1, then text seen from frames, then text seen from text.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.time_bias = nn.Parameter(torch.zeros(config.heads, config.memory_frames + 2))
        for block in self.blocks:
            assert isinstance(block, Block)
            for out in (block.attention_out, block.feed_out):
                nn.init.normal_(out.weight, std=(2 * config.layers * out.in_features) ** -0.5)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """A whole window: (B, L, D) under a bias (B, heads, L, L) -> (B, L, D)."""
        for block in self.blocks:
            assert isinstance(block, Block)
            q, k, v = block.project(x)
            x = block.mix(x, q, k, v, bias)
        out: Tensor = self.norm(x)
        return out

    def extend(
        self, x: Tensor, bias: Tensor, cache: Tensor, rows: Tensor | slice, places: Tensor
    ) -> Tensor:
        """New tokens against a cache: (B, Q, D) -> (B, Q, D), their keys and values written to the cache.

        `cache` (layers, 2, rows, slots, heads, h); `rows` picks the B sessions, `places` (B, Q) their slots;
        `bias` (B, heads, Q, slots).
        """
        index = torch.arange(cache.shape[2], device=x.device)[rows][:, None]
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            q, k, v = block.project(x)
            cache[layer, 0][index, places] = k.to(cache.dtype)
            cache[layer, 1][index, places] = v.to(cache.dtype)
            x = block.mix(
                x, q, cache[layer, 0][rows].to(q.dtype), cache[layer, 1][rows].to(q.dtype), bias
            )
        out: Tensor = self.norm(x)
        return out

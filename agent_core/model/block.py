"""Transformer block: pre-norm attention and an MLP; the caller holds keys, values and attention masks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

QUICK = 1.702


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's approximate GELU, x * sigmoid(1.702 x)."""
    return x * torch.sigmoid(QUICK * x)


def gelu(x: Tensor) -> Tensor:
    """Exact GELU: on a CPU torch computes the tanh approximation in four times the time."""
    return F.gelu(x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "relu": F.relu,
    "quick_gelu": quick_gelu,
}


class ResidualLinear(nn.Linear):
    """A linear layer with a residual input; one fused kernel for packed weights (`agent_core.cpu.onednn`)."""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(…, in) -> (…, out)."""
        out = super().forward(x)
        return out if residual is None else residual + out


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Attention of queries (B, heads, Q, h) to keys and values (B, heads, L, h) under an additive bias (B, heads or 1,
    Q, L): (B, heads, Q, h).

    For a bias with a gradient torch has no fused CPU kernel, and its fallback takes three times as long as the plain
    products below (136 tokens in bfloat16, gradients included).
    """
    if bias is None or not bias.requires_grad or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    # (B * heads, Q or L, h): batched products with the bias added in the same call
    queries, keys, values = (x.flatten(0, 1) for x in (q * q.shape[3] ** -0.5, k, v))
    full_bias = bias.expand(*q.shape[:3], k.shape[2]).flatten(0, 1)  # (B * heads, Q, L)
    weights = torch.baddbmm(full_bias, queries, keys.transpose(1, 2)).softmax(2)
    return (weights @ values).view(q.shape)


class Attention(nn.Module):
    """Multi-head attention: norm, query/key/value projections and output projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = ResidualLinear(width, width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, Q, D) -> queries (B, heads, Q, D / heads); keys and values (2, B, heads, Q, D / heads)."""
        batch, count, _ = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, count, 3, self.heads, -1)
        qkv = qkv.permute(2, 0, 3, 1, 4)  # (3, B, heads, Q, h)
        return qkv[0], qkv[1:]

    def attend(self, x: Tensor, q: Tensor, kv: Tensor, bias: Tensor | None) -> Tensor:
        """x plus attention to keys and values (2, B, heads, L, h) under an additive bias (B, heads or 1, Q, L)."""
        k, v = kv.unbind(0)
        attended = attention(q, k, v, None if bias is None else bias.to(q.dtype))
        out: Tensor = self.attention_out(attended.transpose(1, 2).flatten(2), x)
        return out


class Block(Attention):
    """Attention, then an MLP four times as wide."""

    activation_checkpointing = False
    """Whether training recomputes the block in the backward pass instead of storing its activations."""

    def __init__(self, width: int, heads: int, activation: str = "gelu") -> None:
        super().__init__(width, heads)
        self.activation = ACTIVATIONS[activation]
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, 4 * width)
        self.mlp_out = ResidualLinear(4 * width, width)

    def attention_and_mlp(self, x: Tensor, q: Tensor, kv: Tensor, bias: Tensor | None) -> Tensor:
        """Attention and MLP, each with its residual connection."""
        x = self.attend(x, q, kv, bias)
        out: Tensor = self.mlp_out(self.activation(self.mlp_in(self.mlp_norm(x))), x)
        return out

    def forward(self, x: Tensor, bias: Tensor | None = None, last_n: int | None = None) -> Tensor:
        """The block over (B, L, D), every token a key and a query; with `last_n` only the last ones (B, last_n, D)."""
        if self.activation_checkpointing and self.training:
            out: Tensor = checkpoint(self._forward, x, bias, last_n, use_reentrant=False)
            return out
        return self._forward(x, bias, last_n)

    def _forward(self, x: Tensor, bias: Tensor | None, last_n: int | None) -> Tensor:
        q, kv = self.project(x)
        if last_n is not None:
            x, q = x[:, -last_n:], q[:, :, -last_n:]
            bias = None if bias is None else bias[:, :, -last_n:]
        return self.attention_and_mlp(x, q, kv, bias)

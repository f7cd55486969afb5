"""What does one layer compute? Pre-norm attention and a feed-forward; its caller holds keys, values and masks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

QUICK = 1.702


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's cheap GELU, x * sigmoid(1.702 x)."""
    return x * torch.sigmoid(QUICK * x)


def gelu(x: Tensor) -> Tensor:
    """GELU, exactly: torch computes its tanh formula in four times the time on a processor."""
    return F.gelu(x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "relu": F.relu,
    "quick_gelu": quick_gelu,
}


class ResidualLinear(nn.Linear):
    """A linear layer whose outcome is added to something; one step for packed weights (`agent_core.cpu.onednn`)."""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(…, in) -> (…, out)."""
        out = super().forward(x)
        return out if residual is None else residual + out


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """What queries (B, heads, Q, h) read under an additive bias (B, heads or 1, Q, L): (B, heads, Q, h).

    A bias that learns has no fused kernel on a processor, and torch's way around takes three times as long as these
    plain products (rows of 136 tokens in bfloat16, gradients included).
    """
    if bias is None or not bias.requires_grad or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    near, keys, values = (x.flatten(0, 1) for x in (q * q.shape[3] ** -0.5, k, v))
    every = bias.expand(*q.shape[:3], k.shape[2]).flatten(0, 1)
    shares = torch.baddbmm(every, near, keys.transpose(1, 2)).softmax(2)
    return (shares @ values).view(q.shape)


class Attention(nn.Module):
    """Norm, projections and output of one multi-head attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = ResidualLinear(width, width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, Q, D) -> queries (B, heads, Q, D / heads); keys and values (2, B, heads, Q, D / heads)."""
        size, count, _ = x.shape
        parts = self.qkv(self.attention_norm(x)).view(size, count, 3, self.heads, -1)
        parts = parts.permute(2, 0, 3, 1, 4)
        return parts[0], parts[1:]

    def attend(self, x: Tensor, q: Tensor, kv: Tensor, bias: Tensor | None) -> Tensor:
        """x plus what keys and values (2, B, heads, L, h) say under an additive bias (B, heads or 1, Q, L)."""
        k, v = kv.unbind(0)
        seen = attention(q, k, v, None if bias is None else bias.to(q.dtype))
        out: Tensor = self.attention_out(seen.transpose(1, 2).flatten(2), x)
        return out


class Block(Attention):
    """Attention, then a feed-forward four times as wide."""

    activation_checkpointing = False
    """Whether training computes the layer again in the backward pass instead of keeping its activations."""

    def __init__(self, width: int, heads: int, activation: str = "gelu") -> None:
        super().__init__(width, heads)
        self.activation = ACTIVATIONS[activation]
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, 4 * width)
        self.mlp_out = ResidualLinear(4 * width, width)

    def attention_and_mlp(self, x: Tensor, q: Tensor, kv: Tensor, bias: Tensor | None) -> Tensor:
        """Attention and feed-forward, both added to x."""
        x = self.attend(x, q, kv, bias)
        out: Tensor = self.mlp_out(self.activation(self.mlp_in(self.mlp_norm(x))), x)
        return out

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The whole layer over (B, L, D)."""
        if self.activation_checkpointing and self.training:
            out: Tensor = checkpoint(self._whole, x, bias, use_reentrant=False)
            return out
        return self._whole(x, bias)

    def _whole(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return self.attention_and_mlp(x, *self.project(x), bias)

"""Text conditioning of the convolutional stem: the instruction's scale and shift of its channels (FiLM)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TextConditioning(nn.Module):
    """A GRU over the embedded instruction, and a linear map of its last state.

    In the decoder words meet pixels only after the frame was pooled to a few tokens, and a new game learns to look
    for what the words name late. Here they meet before the stem's last spatial mixing. "film" scales and shifts
    channels (Perez et al. 2018), "add" shifts them. The map begins at zero: as a model without.
    """

    def __init__(self, width: int, channels: int, *, scales: bool) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)
        self.size = 2 * channels if scales else channels
        """Numbers per frame."""
        self.proj = nn.Linear(width, self.size)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, embedded: Tensor, valid: Tensor) -> Tensor:
        """Instructions (B, W, D), `valid` (B, W) bool, padding behind -> shift (B, C), or scale and shift (B, 2 C).

        A scale is added to 1. An instruction of padding alone gives the map's bias.
        """
        states, _ = self.gru(embedded)
        length = valid.sum(1)
        last = (length - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
        state = states.gather(1, last)[:, 0] * (length > 0)[:, None].to(states.dtype)
        out: Tensor = self.proj(state)
        return out


def condition(x: Tensor, conditioning: Tensor) -> Tensor:
    """Feature maps (F, C, H, W), shifted by (F, C) or scaled and shifted by (F, 2 C)."""
    parts = conditioning.to(x.dtype)[:, :, None, None]
    if parts.shape[1] == x.shape[1]:
        return x + parts
    scale, shift = parts.chunk(2, 1)
    return torch.addcmul(x + shift, x, scale)

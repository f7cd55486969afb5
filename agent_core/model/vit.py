"""What is in one picture? CLIP's ViT with divided space-time attention, as the paper's encoder E.

Parameters carry our names; `agent_core.weights.pretrained` knows CLIP's. Time flows one way: a frame attends to the
same patch of earlier frames only, so that in play every frame is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agent_core.config import ModelConfig
from agent_core.model.block import Attention, Block
from agent_core.model.conv_stem import VisionOutput

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation of pixels in [0, 1] (Radford et al. 2021, released preprocessing)."""
_SHIFT = [(0.5 - mean) / std for mean, std in zip(_MEAN, _STD, strict=True)]
_SCALE = [0.5 / std for std in _STD]
"""The same of pixels in [-1, 1]: shift + scale * pixel."""


@dataclass
class TemporalKVCache:
    """Keys and values of earlier frames in play, for the attention over time; written in place."""

    kv: Tensor
    """(layers, 2, rows, P, heads, T, h)."""
    mask: Tensor
    """(T, F, 1): 0 for frames that may be looked back on, the newest included; -inf for the others."""
    slots: Tensor | slice
    """(F,) each picture's session; of a single one a slice, which copies nothing."""
    frame_slot: Tensor | int
    """(F,) where each picture's frame stands in the memory; of a single one a number."""

    def to_layout(self, kv: Tensor) -> Tensor:
        """Keys and values (2, F, heads, P, h) as `cache[layer][:, rows, :, :, block]` takes them."""
        return kv.transpose(2, 3) if isinstance(self.frame_slot, int) else kv.permute(1, 0, 3, 2, 4)


class SpaceTimeBlock(Block):
    """A ViT layer, before it (where the model has it) attention over time between tokens of the same place."""

    def __init__(self, width: int, heads: int, temporal: bool) -> None:
        super().__init__(width, heads, "quick_gelu")
        self.time = Attention(width, heads) if temporal else None
        if self.time is not None:  # begins as CLIP, which knows no time
            nn.init.zeros_(self.time.attention_out.weight)
            nn.init.zeros_(self.time.attention_out.bias)

    def forward(self, x: Tensor, bias: Tensor | None = None, clips: Tensor | None = None) -> Tensor:
        """The whole layer over (F, P, D); over time too, where a bias (B, N, N) says how the pictures are clips."""
        if clips is not None:
            x = self.temporal_attention(x.view(*clips.shape[:2], *x.shape[1:]), clips).flatten(0, 1)
        out: Tensor = super().forward(x, bias)
        return out

    def temporal_attention(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, N, P, D) under a bias (B, N, N) -> the same."""
        if self.time is None:
            return x
        size, places = x.shape[0], x.shape[2]
        y = x.transpose(1, 2).flatten(0, 1)  # (B * P, N, D)
        wide = bias.repeat_interleave(places, 0)[:, None]
        y = self.time.attend(y, *self.time.project(y), wide)
        return y.view(size, places, *y.shape[1:]).transpose(1, 2)

    def temporal_attention_cached(
        self, x: Tensor, temporal_kv: TemporalKVCache, layer: int
    ) -> Tensor:
        """The same for one new frame per session (F, P, D), against the memory of earlier ones.

        One query per place and head makes products too small to be fast: all heads of a place are multiplied with each
        other's keys, and what belongs together is taken out.
        """
        if self.time is None:
            return x
        q, kv = self.time.project(x)
        cache = temporal_kv.kv[layer]
        cache[:, temporal_kv.slots, :, :, temporal_kv.frame_slot] = temporal_kv.to_layout(kv)
        k, v = cache[:, temporal_kv.slots].flatten(1, 2).unbind(0)  # (F * P, heads, T, h)
        frames = k.shape[2]
        queries = q.transpose(1, 2).flatten(0, 1).transpose(1, 2)  # (F * P, h, heads)
        every = (k.flatten(1, 2) @ queries).view(-1, self.heads, frames, self.heads)
        scores = every.diagonal(dim1=1, dim2=3).transpose(0, 1) * q.shape[3] ** -0.5
        shares = (scores.view(frames, len(x), -1) + temporal_kv.mask).softmax(0)
        # (F * P, heads, T), in this order in memory: else torch multiplies place by place and head by head
        each = shares.view(frames, -1, self.heads).permute(1, 2, 0).contiguous()
        out: Tensor = self.time.attention_out((each[:, :, None] @ v).view(x.shape), x)
        return out


VisionKernel = Callable[[Tensor, TemporalKVCache | None], Tensor]


class ViTower(nn.Module):
    """Patches with fixed 2-D sin-cos positions and a class token through the layers, then pooled to the grid."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.grid = config.patch_grid
        self.pooled_grid = config.pooled_grid
        self.has_class_token = config.global_token
        self.context_frames = config.context_frames
        self.patch_in = nn.Conv2d(3, width, config.patch, config.patch, bias=False)
        self.class_token = nn.Parameter(torch.randn(width) * 0.02)
        table = torch.cat([torch.zeros(1, width), sincos_2d(self.grid, width)])
        self.position = nn.Parameter(table, requires_grad=False)
        self.pre_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            SpaceTimeBlock(width, config.heads, config.temporal_attention)
            for _ in range(config.layers)
        )
        self.post_norm = nn.LayerNorm(width)
        self.custom_forward: VisionKernel | None = None
        """Computes all blocks in play instead of them (`agent_core.cpu.paper`)."""

    def forward(
        self, pictures: Tensor, patch_mask: Tensor | None = None, frame_mask: Tensor | None = None
    ) -> VisionOutput:
        """(F, 3, H, W) in [-1, 1]; `hidden` (F', P) bool: patches of the first F' pictures that nothing may see.

        `present` (B, N) bool says how the F = B * N pictures are clips; without it each stands alone.
        """
        x = self.embed(pictures)
        mask = None if patch_mask is None else self._expand_mask(patch_mask, len(x))
        bias = None if mask is None else _bias(~mask, x.dtype)[:, None, None]
        clips = (
            frame_mask if frame_mask is not None else torch.ones(len(x), 1, device=x.device).bool()
        )
        order = torch.arange(clips.shape[1], device=x.device)
        distance = order[:, None] - order[None]
        near = (distance >= 0) & (distance < self.context_frames)
        own = distance == 0
        over_time = _bias(near & clips[:, None] | own, x.dtype)
        for block in self.blocks:
            x = block(x, bias, over_time)
        return self._pool_tokens(x, mask)

    def encode_frame(self, pictures: Tensor, temporal_kv: TemporalKVCache | None) -> Tensor:
        """One new picture per session (F, 3, H, W) -> visual tokens (F, V, D)."""
        x = self.embed(pictures)
        if self.custom_forward is not None:
            return self._pool_tokens(self.custom_forward(x, temporal_kv), None).tokens
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, SpaceTimeBlock)
            if temporal_kv is not None:
                x = block.temporal_attention_cached(x, temporal_kv, layer)
            x = block(x)
        return self._pool_tokens(x, None).tokens

    def embed(self, pictures: Tensor) -> Tensor:
        """Pictures in [-1, 1] -> normed patch embeddings (F, 1 + P, D), the class token first."""
        shift, scale = (
            torch.stack([pictures.new_full((1, 1), number) for number in numbers])
            for numbers in (
                _SHIFT,
                _SCALE,
            )  # made where they are used: a recorded pass may not wait for the processor
        )
        normed = torch.addcmul(shift, pictures, scale)
        patches = F.linear(self._patches(normed), self.patch_in.weight.flatten(1))
        first = self.class_token.to(patches.dtype).expand(len(patches), 1, -1)
        out: Tensor = self.pre_norm(torch.cat([first, patches], 1) + self.position)
        return out

    def _patches(self, pictures: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, patches, 3 * side * side): one product with them is faster than a convolution."""
        side, (rows, columns) = self.patch_in.kernel_size[0], self.grid
        cells = pictures.reshape(len(pictures), 3, rows, side, columns, side)
        return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def _expand_mask(self, patch_mask: Tensor, count: int) -> Tensor:
        """(F', P) -> (F, 1 + P): the class token and the other pictures are seen."""
        mask = patch_mask.new_zeros(count, 1 + patch_mask.shape[1])
        mask[: len(patch_mask), 1:] = patch_mask
        return mask

    def _pool_tokens(self, x: Tensor, mask: Tensor | None) -> VisionOutput:
        x = self.post_norm(x)
        first, cells = x[:, :1], x[:, 1:]
        shown = None if mask is None else ~mask
        if self.pooled_grid != self.grid:
            cells, seen = self._pool(cells, None if shown is None else shown[:, 1:])
            shown = None if shown is None or seen is None else torch.cat([shown[:, :1], seen], 1)
        if self.has_class_token:
            return VisionOutput(torch.cat([first, cells], 1), x, shown)
        return VisionOutput(cells, x, None if shown is None else shown[:, 1:])

    def _pool(self, cells: Tensor, shown: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Mean of the seen patches in each cell of the coarser grid, and which cells have any."""

        def mean(values: Tensor) -> Tensor:
            whole = values.transpose(1, 2).reshape(len(values), -1, *self.grid)
            return F.adaptive_avg_pool2d(whole, self.pooled_grid).flatten(2).transpose(1, 2)

        if shown is None:
            return mean(cells), None
        weight = shown[:, :, None].to(cells.dtype)
        share = mean(weight)
        return mean(cells * weight) / share.clamp(min=1e-6), share[:, :, 0] > 0


def sincos_2d(grid: tuple[int, int], width: int) -> Tensor:
    """Fixed positions of a grid (rows * columns, width): half the channels tell the column, half the row.

    The formula of MAE (He et al. 2021): sines, then cosines, of wave lengths from 2 pi to 10,000 * 2 pi.
    """
    waves = 10_000.0 ** -(torch.arange(width // 4) / (width / 4))
    place = torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1])).float()
    halves = [place[:, k, None] * waves for k in (1, 0)]
    return torch.cat([f(angle) for angle in halves for f in (torch.sin, torch.cos)], 1)


def _bias(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where seen, -inf elsewhere."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(
        ~seen, float("-inf")
    )

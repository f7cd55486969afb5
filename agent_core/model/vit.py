"""ViT vision tower of the paper (its encoder E): CLIP's ViT with divided space-time attention.

`agent_core.weights.pretrained` maps CLIP's parameter names to these. Temporal attention is causal: a patch attends to
the same patch of earlier frames only, so that with a KV cache every frame is encoded once.

In the shapes below F is frames, P tokens of a frame (the class token first), T frames of the context, h a head's size.
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
"""CLIP's normalization of pixels in [0, 1] (Radford et al. 2021, released preprocessing)."""
_SHIFT = [(0.5 - mean) / std for mean, std in zip(_MEAN, _STD, strict=True)]
_SCALE = [0.5 / std for std in _STD]
"""The same for pixels in [-1, 1]: shift + scale * pixel."""


@dataclass
class TemporalKVCache:
    """KV cache of temporal attention at inference, one row per session; written in place.

    T is a ring buffer: each new frame is written over the oldest one.
    """

    kv: Tensor
    """(layers, 2, rows, P, heads, T, h)."""
    mask: Tensor
    """(T, F, 1) additive: 0 for frames in the context, the newest included; -inf for entries not yet written."""
    slots: Tensor | slice
    """(F,) each frame's row; a slice for a single frame, which copies nothing."""
    frame_slot: Tensor | int
    """(F,) each frame's place in the ring buffer; a number for a single frame."""

    def to_layout(self, kv: Tensor) -> Tensor:
        """Keys and values (2, F, heads, P, h) in the order that `kv[layer][:, slots, :, :, frame_slot]` has."""
        return kv.transpose(2, 3) if isinstance(self.frame_slot, int) else kv.permute(1, 0, 3, 2, 4)


class SpaceTimeBlock(Block):
    """A ViT block; before it, in models that have it, temporal attention between tokens of the same place."""

    def __init__(self, width: int, heads: int, temporal: bool) -> None:
        super().__init__(width, heads, "quick_gelu")
        self.time = Attention(width, heads) if temporal else None
        if self.time is not None:  # starts as CLIP, which has no temporal attention
            nn.init.zeros_(self.time.attention_out.weight)
            nn.init.zeros_(self.time.attention_out.bias)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        last_n: int | None = None,
        temporal_bias: Tensor | None = None,
    ) -> Tensor:
        """The block over (F, P, D); with a temporal bias (B, N, N) also over time, where F = B * N."""
        if temporal_bias is not None:
            clips = x.view(*temporal_bias.shape[:2], *x.shape[1:])  # (B, N, P, D)
            x = self.temporal_attention(clips, temporal_bias).flatten(0, 1)
        out: Tensor = super().forward(x, bias, last_n)
        return out

    def temporal_attention(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, N, P, D) under an additive bias (B, N, N) -> (B, N, P, D)."""
        if self.time is None:
            return x
        batch, places = x.shape[0], x.shape[2]
        y = x.transpose(1, 2).flatten(0, 1)  # (B * P, N, D): one sequence over time per place
        place_bias = bias.repeat_interleave(places, 0)[:, None]  # (B * P, 1, N, N)
        y = self.time.attend(y, *self.time.project(y), place_bias)
        return y.view(batch, places, *y.shape[1:]).transpose(1, 2)

    def temporal_attention_cached(
        self, x: Tensor, temporal_kv: TemporalKVCache, layer: int
    ) -> Tensor:
        """Temporal attention of one new frame per session (F, P, D) to the KV cache, which takes its keys and values.

        There is one query per place and head, and products that small are slow. So at each place the queries of all
        heads are multiplied with the keys of all heads, and the diagonal (query and key of the same head) is taken out.
        """
        if self.time is None:
            return x
        q, kv = self.time.project(x)  # (F, heads, P, h) and (2, F, heads, P, h)
        cache = temporal_kv.kv[layer]
        cache[:, temporal_kv.slots, :, :, temporal_kv.frame_slot] = temporal_kv.to_layout(kv)
        k, v = cache[:, temporal_kv.slots].flatten(1, 2).unbind(0)  # (F * P, heads, T, h)
        steps = k.shape[2]  # T
        queries = q.transpose(1, 2).flatten(0, 1).transpose(1, 2)  # (F * P, h, heads)
        products = (k.flatten(1, 2) @ queries).view(-1, self.heads, steps, self.heads)
        scores = products.diagonal(dim1=1, dim2=3).transpose(0, 1)  # (T, F * P, heads)
        scores = (scores * q.shape[3] ** -0.5).view(steps, len(x), -1)  # (T, F, P * heads)
        weights = (scores + temporal_kv.mask).softmax(0).view(steps, -1, self.heads)
        # (F * P, heads, T), contiguous: otherwise torch multiplies place by place and head by head
        weights = weights.permute(1, 2, 0).contiguous()
        out: Tensor = self.time.attention_out((weights[:, :, None] @ v).view(x.shape), x)
        return out


VisionKernel = Callable[[Tensor, TemporalKVCache | None], Tensor]
"""All blocks over embeddings (F, P, D), at inference."""


class ViTower(nn.Module):
    """Patch embeddings with fixed 2-D sin-cos positions and a class token, ViT blocks, pooling to the token grid."""

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
        """Replaces all blocks at inference (`agent_core.cpu.paper`)."""

    def forward(
        self, pixels: Tensor, patch_mask: Tensor | None = None, frame_mask: Tensor | None = None
    ) -> VisionOutput:
        """Encode pixels (F, 3, H, W) in [-1, 1]; `patch_mask` (F', P - 1) bool masks patches of the first F' frames.

        `frame_mask` (B, N) bool groups the F = B * N frames into clips; without it each frame stands alone.
        """
        x = self.embed(pixels)
        mask = None if patch_mask is None else self._expand_mask(patch_mask, len(x))
        bias = None if mask is None else _bias(~mask, x.dtype)[:, None, None]  # (F, 1, 1, P)
        if frame_mask is None:
            frame_mask = torch.ones(len(x), 1, device=x.device).bool()
        temporal_bias = self._temporal_bias(frame_mask, x.dtype)
        for block in self.blocks:
            x = block(x, bias, temporal_bias=temporal_bias)
        return self._pool_tokens(x, mask)

    def _temporal_bias(self, frame_mask: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, N, N): frames attend to themselves and to earlier frames of the context that are not padding."""
        index = torch.arange(frame_mask.shape[1], device=frame_mask.device)
        distance = index[:, None] - index[None]
        in_context = (distance >= 0) & (distance < self.context_frames)
        return _bias(in_context & frame_mask[:, None] | (distance == 0), dtype)

    def encode_frame(self, pixels: Tensor, temporal_kv: TemporalKVCache | None) -> Tensor:
        """One new frame per session, pixels (F, 3, H, W) -> visual tokens (F, V, D)."""
        x = self.embed(pixels)
        if self.custom_forward is not None:
            return self._pool_tokens(self.custom_forward(x, temporal_kv), None).tokens
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, SpaceTimeBlock)
            if temporal_kv is not None:
                x = block.temporal_attention_cached(x, temporal_kv, layer)
            x = block(x)
        return self._pool_tokens(x, None).tokens

    def embed(self, pixels: Tensor) -> Tensor:
        """Pixels (F, 3, H, W) in [-1, 1] -> embeddings (F, P, D) after the first norm, the class token first."""
        # made on the device: a captured CUDA graph may not copy from the CPU
        shift, scale = (
            torch.stack([pixels.new_full((1, 1), number) for number in numbers])  # (3, 1, 1)
            for numbers in (_SHIFT, _SCALE)
        )
        normalized = torch.addcmul(shift, pixels, scale)
        # one matrix product over patches is faster than the strided convolution it equals
        patches = F.linear(self._patchify(normalized), self.patch_in.weight.flatten(1))
        class_token = self.class_token.to(patches.dtype).expand(len(patches), 1, -1)
        out: Tensor = self.pre_norm(torch.cat([class_token, patches], 1) + self.position)
        return out

    def _patchify(self, pixels: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, patches, 3 * side * side)."""
        side, (rows, columns) = self.patch_in.kernel_size[0], self.grid
        cells = pixels.reshape(len(pixels), 3, rows, side, columns, side)
        return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def _expand_mask(self, patch_mask: Tensor, count: int) -> Tensor:
        """(F', P - 1) -> (F, P): the class token and all other frames are unmasked."""
        mask = patch_mask.new_zeros(count, 1 + patch_mask.shape[1])
        mask[: len(patch_mask), 1:] = patch_mask
        return mask

    def _pool_tokens(self, x: Tensor, mask: Tensor | None) -> VisionOutput:
        """Final norm, then pooling of patches (F, P - 1, D) to the token grid; `mask` (F, P) bool of masked ones."""
        x = self.post_norm(x)
        class_token, cells = x[:, :1], x[:, 1:]
        visible = None if mask is None else ~mask
        if self.pooled_grid != self.grid:
            cells, pooled = self._pool(cells, None if visible is None else visible[:, 1:])
            if visible is not None and pooled is not None:
                visible = torch.cat([visible[:, :1], pooled], 1)
        if self.has_class_token:
            return VisionOutput(torch.cat([class_token, cells], 1), x, visible)
        return VisionOutput(cells, x, None if visible is None else visible[:, 1:])

    def _pool(self, cells: Tensor, visible: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Mean of the visible patches in each cell of the coarser grid, and which cells have any."""

        def mean(values: Tensor) -> Tensor:
            grid = values.transpose(1, 2).reshape(len(values), -1, *self.grid)
            return F.adaptive_avg_pool2d(grid, self.pooled_grid).flatten(2).transpose(1, 2)

        if visible is None:
            return mean(cells), None
        # mean over visible patches = mean of (value * visible) / mean of visible
        weight = visible[:, :, None].to(cells.dtype)
        fraction = mean(weight)
        return mean(cells * weight) / fraction.clamp(min=1e-6), fraction[:, :, 0] > 0


def sincos_2d(grid: tuple[int, int], width: int) -> Tensor:
    """Fixed sin-cos positions of a grid (rows * columns, width): half the channels for the column, half for the row.

    The formula of MAE (He et al. 2021): sines, then cosines, of wavelengths from 2 pi to 10,000 * 2 pi.
    """
    frequencies = 10_000.0 ** -(torch.arange(width // 4) / (width / 4))
    cells = torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1])).float()
    halves = [cells[:, k, None] * frequencies for k in (1, 0)]  # column, then row
    return torch.cat([f(angle) for angle in halves for f in (torch.sin, torch.cos)], 1)


def _bias(attended: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive bias of a boolean mask: 0 where attended, -inf elsewhere."""
    zeros = torch.zeros(attended.shape, dtype=dtype, device=attended.device)
    return zeros.masked_fill(~attended, float("-inf"))

"""What is in one picture? A convolutional stem that turns a frame into a grid of visual tokens (compact models)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agent_core.config import ModelConfig

_BATCH_MULTIPLE = 16
"""Numbers of pictures that a processor looks at are multiples of this."""


@dataclass
class VisionOutput:
    """A batch of F pictures as tokens."""

    tokens: Tensor
    """(F, V, D) visual tokens of the sequence."""
    patches: Tensor
    """(F, P, D) what the pixel decoder starts from; P is at least the number of patches that can be hidden."""
    visible: Tensor | None = None
    """(F, V) bool where tokens of hidden patches stay out of the sequence; None where all are in it."""


class VisionTower(nn.Module):
    """Convolutions down to an eighth of the picture, then one token per cell of the grid and one for the whole picture.

    The last stands where CLIP's class token stands in the paper; it keeps places apart instead of averaging over
    them, so that "the target is left" is learned early. About 13 M multiply-adds per frame for `tiny`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        stages = zip(config.stem_widths, config.stem_strides, config.stem_blocks, strict=True)
        for stage, (width, stride, blocks) in enumerate(stages):
            kernel = 2 * stride if stride > 2 else 5 if stage == 0 else 3
            layers.append(nn.Conv2d(channels, width, kernel, stride, (kernel - stride + 1) // 2))
            layers.append(_activation(config))
            layers += [_Residual(width, config) for _ in range(blocks)]
            channels = width
        self.stem = nn.Sequential(*layers)
        self.grid = rows, columns = config.pooled_grid
        cell = (config.frame_height // 8 // rows, config.frame_width // 8 // columns)
        self.cells = nn.Conv2d(channels, config.width, cell, cell)
        self.norm: nn.Module = nn.LayerNorm(config.width)
        for layer in self.stem:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
        self.has_global_token = config.global_token
        if config.global_token:
            self.global_in = nn.Linear(config.width, 32)
            self.global_out = nn.Linear(32 * rows * columns, config.width)
            self.global_norm = nn.LayerNorm(config.width)
        self.mask_color = nn.Parameter(torch.zeros(3))
        """The colour that stands for a hidden patch (masked auto-encoding)."""
        self.custom_forward: Callable[[Tensor], Tensor] | None = None
        """Computes all convolutions in play (F, H, W, 3) -> (F, rows * columns, D) (`agent_core.cpu.compact`)."""

    def forward(
        self, pictures: Tensor, patch_mask: Tensor | None = None, frame_mask: Tensor | None = None
    ) -> VisionOutput:
        """(F, 3, H, W) in about [-1, 1]; `hidden` (F', P) bool paints patches of the first F' pictures over.

        Where a processor computes, pictures that are not `present` (B, N) bool, F = B * N, cost nothing and get
        another's tokens. A GPU and compiled programs want always as many.
        """
        parts = [pictures]
        if (
            patch_mask is not None
        ):  # apart: only they need a gradient of their pixels, for the colour
            whole = pictures[len(patch_mask) :]
            parts = [
                self._mask_patches(pictures[: len(patch_mask)], patch_mask),
                *([whole] if len(whole) else []),
            ]
        if frame_mask is None or pictures.is_cuda or torch.compiler.is_compiling():
            features = torch.cat([self._encode(part) for part in parts])
        else:
            there = torch.split(frame_mask.flatten(), [len(part) for part in parts])
            encoded = [self._encode_present(*both) for both in zip(parts, there, strict=True)]
            features = torch.cat(encoded)
        return self._tokens(features)

    def encode_frame(self, frames: Tensor) -> Tensor:
        """Pictures in play (F, H, W, 3) uint8 -> tokens (F, V, D)."""
        if self.custom_forward is not None:
            return self._tokens(self.custom_forward(frames)).tokens
        return self._tokens(self._encode(normalize_pixels(frames).to(self.mask_color.dtype))).tokens

    def _tokens(self, features: Tensor) -> VisionOutput:
        """(F, rows * columns, D), not normed, as tokens."""
        cells: Tensor = self.norm(features)
        if not self.has_global_token:
            return VisionOutput(cells, cells)
        global_token = self.global_norm(self.global_out(F.gelu(self.global_in(cells).flatten(1))))
        return VisionOutput(torch.cat([cells, global_token[:, None]], 1), cells)

    def _encode(self, pictures: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, rows * columns, D), not normed."""
        cells: Tensor = self.cells(self.stem(pictures))
        return cells.flatten(2).transpose(1, 2)

    def _encode_present(self, pictures: Tensor, frame_mask: Tensor) -> Tensor:
        """The same, but only those that are `there` (F,) bool are computed, and a few more to make the number round.

        A processor plans convolutions for each number of pictures anew.
        """
        count = max(int(frame_mask.sum()), 1)
        order = frame_mask.argsort(descending=True, stable=True)[: count + -count % _BATCH_MULTIPLE]
        some = pictures.permute(0, 2, 3, 1)[order].permute(0, 3, 1, 2)  # channels last, as before
        return self._encode(some).index_select(0, (frame_mask.cumsum(0) - 1).clamp(min=0))

    def _mask_patches(self, pictures: Tensor, patch_mask: Tensor) -> Tensor:
        """Paint the hidden cells of (F, 3, H, W) pictures with the fill colour."""
        mask = patch_mask.view(-1, *self.grid)
        cell = (pictures.shape[2] // self.grid[0], pictures.shape[3] // self.grid[1])
        whole = mask.repeat_interleave(cell[0], 1).repeat_interleave(cell[1], 2)[:, None]
        return torch.where(whole, self.mask_color.to(pictures.dtype)[:, None, None], pictures)


class _Residual(nn.Module):
    """x + conv(activation(conv(norm(x)))) with the second convolution starting at zero."""

    def __init__(self, width: int, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.activation = _activation(config)
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.activation(self.first(self.norm(x)))
        out: Tensor = x + self.second(inner)
        return out


def _activation(config: ModelConfig) -> nn.Module:
    return nn.ReLU(inplace=True) if config.activation == "relu" else nn.GELU(approximate="tanh")


def normalize_pixels(frames: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """(…, H, W, 3) uint8 -> (F, 3, H, W) in [-1, 1], stored channels last."""
    flat = frames.flatten(0, -4)
    pixels = flat.to(dtype)  # scaled and shifted in one pass, where it lies
    torch.add(pixels.new_full((), -1.0), pixels, alpha=2 / 255, out=pixels)
    return pixels.permute(0, 3, 1, 2)


def color_jitter(
    pictures: Tensor, brightness: Tensor, saturation: Tensor, hue: Tensor | None = None
) -> Tensor:
    """Scale brightness and saturation of (F, 3, H, W) pictures by factors (F,); turn their hue by shares of a circle.

    Hue turns around the axis of grey, in the plane of colours of equal sum; no conversion to another colour space.
    """
    shape = (-1, 1, 1, 1)
    bright = (pictures + 1) * brightness.view(shape).to(pictures.dtype)
    grey = bright.mean(1, keepdim=True)
    vivid = (bright - grey) * saturation.view(shape).to(pictures.dtype)
    if hue is not None:
        angle = (2 * math.pi * hue).view(shape).to(pictures.dtype)
        across = (
            vivid.roll(1, 1) - vivid.roll(-1, 1)
        ) * 3**-0.5  # at right angles to it and to grey
        vivid = vivid * angle.cos() + across * angle.sin()
    return (grey + vivid).clamp(0, 2) - 1

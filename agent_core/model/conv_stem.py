"""Convolutional vision tower of compact models: a frame becomes a grid of visual tokens and a global token."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agent_core.config import ModelConfig
from agent_core.model.text_conditioning import condition

_BATCH_MULTIPLE = 4
"""On a CPU the number of encoded frames is rounded up to this: oneDNN plans convolutions for each batch size anew."""


@dataclass
class VisionOutput:
    """Encoded frames (F of them)."""

    tokens: Tensor
    """(F, V, D) visual tokens for the decoder."""
    patches: Tensor
    """(F, P, D) input of the MAE decoder; P is at least the number of patches that can be masked."""
    visible: Tensor | None = None
    """(F, V) bool: False for tokens of masked patches, which stay out of the sequence; None where all are in it."""


class VisionTower(nn.Module):
    """Convolutions down to an eighth of the resolution, then one token per grid cell and a global token of the frame.

    The global token takes the place of CLIP's class token in the paper. It is a linear map of all cells, not their
    average, so that "the target is left" is learned early. About 13 M multiply-adds per frame for `tiny`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        stages = zip(config.stem_widths, config.stem_strides, config.stem_blocks, strict=True)
        for stage, (width, stride, blocks) in enumerate(stages):
            kernel = 2 * stride if stride > 2 else 5 if stage == 0 else 3
            if stage == config.conditioned_stage:
                self.conditioned_layer = len(layers)
                """Index in the stem of the convolution whose output text conditions, before its activation."""
            layers.append(nn.Conv2d(channels, width, kernel, stride, (kernel - stride + 1) // 2))
            layers.append(_activation(config))
            layers += [_Residual(width, config) for _ in range(blocks)]
            channels = width
        self.stem = nn.Sequential(*layers)
        self.grid = rows, columns = config.pooled_grid
        cell = (config.frame_height // 8 // rows, config.frame_width // 8 // columns)
        self.cells = PatchConvolution(channels, config.width, cell, cell)
        self.norm: nn.Module = nn.LayerNorm(config.width)
        for layer in self.stem:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
        self.has_further_token = config.has_further_token
        if self.has_further_token:
            self.global_in = nn.Linear(config.width, 32)
            self.global_out = nn.Linear(32 * rows * columns, config.width)
            self.global_norm = nn.LayerNorm(config.width)
        self.mask_color: Tensor
        """Colour of masked patches (masked auto-encoding): grey. It is not learned: its gradient would take the first
        convolution several times as long, and no weight needs one to the pixels."""
        self.register_buffer("mask_color", torch.zeros(3))
        self.custom_forward: Callable[[Tensor, Tensor | None], Tensor] | None = None
        """Replaces all convolutions at inference (`agent_core.cpu.compact`): (F, H, W, 3) uint8 and conditioning ->
        (F, cells, D)."""

    def forward(
        self,
        pixels: Tensor,
        patch_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        conditioning: Tensor | None = None,
    ) -> VisionOutput:
        """Encode pixels (F, 3, H, W) in about [-1, 1]; `patch_mask` (F', P) bool masks patches of the first F' frames.

        `conditioning` (F, C) is each frame's, of `TextConditioning`; None where text conditions nothing.
        On a CPU, frames that are padding in `frame_mask` (B, N) bool, F = B * N, are not computed and get the tokens of
        another frame. A GPU and compiled code want constant shapes and compute all of them.
        """
        if patch_mask is not None:
            masked, rest = pixels[: len(patch_mask)], pixels[len(patch_mask) :]
            pixels = torch.cat([self._mask_patches(masked, patch_mask), rest])
        if frame_mask is None or pixels.is_cuda or torch.compiler.is_compiling():
            features = self._encode(pixels, conditioning)
        else:
            features = self._encode_present(pixels, conditioning, frame_mask.flatten())
        return self._tokens(features)

    def encode_frame(self, frames: Tensor, conditioning: Tensor | None = None) -> Tensor:
        """Frames (F, H, W, 3) uint8 and their conditioning -> visual tokens (F, V, D), at inference."""
        if self.custom_forward is not None:
            return self._tokens(self.custom_forward(frames, conditioning)).tokens
        pixels = normalize_pixels(frames).to(self.mask_color.dtype)
        return self._tokens(self._encode(pixels, conditioning)).tokens

    def _tokens(self, features: Tensor) -> VisionOutput:
        """Features (F, rows * columns, D), before the norm, as tokens."""
        cells: Tensor = self.norm(features)
        if not self.has_further_token:
            return VisionOutput(cells, cells)
        global_token = self.global_norm(self.global_out(F.gelu(self.global_in(cells).flatten(1))))
        return VisionOutput(torch.cat([cells, global_token[:, None]], 1), cells)

    def _encode(self, pixels: Tensor, conditioning: Tensor | None) -> Tensor:
        """Pixels (F, 3, H, W) -> features (F, rows * columns, D), before the norm."""
        x = pixels
        for index, layer in enumerate(self.stem):
            x = layer(x)
            if conditioning is not None and index == self.conditioned_layer:
                x = condition(x, conditioning)
        cells: Tensor = self.cells(x)
        return cells.flatten(2).transpose(1, 2)

    def _encode_present(
        self, pixels: Tensor, conditioning: Tensor | None, frame_mask: Tensor
    ) -> Tensor:
        """The same, computing only frames in `frame_mask` (F,) bool, and a few more to round their number up."""
        count = max(int(frame_mask.sum()), 1)
        # present frames first, in their order
        order = frame_mask.argsort(descending=True, stable=True)[: count + -count % _BATCH_MULTIPLE]
        chosen = pixels.permute(0, 2, 3, 1)[order].permute(0, 3, 1, 2)  # stays channels last
        features = self._encode(chosen, None if conditioning is None else conditioning[order])
        # the k-th present frame is row k; padding takes the row of the present frame before it
        return features.index_select(0, (frame_mask.cumsum(0) - 1).clamp(min=0))

    def _mask_patches(self, pixels: Tensor, patch_mask: Tensor) -> Tensor:
        """Replace masked cells (F, P) of pixels (F, 3, H, W) by the mask colour."""
        mask = patch_mask.view(-1, *self.grid)
        cell = (pixels.shape[2] // self.grid[0], pixels.shape[3] // self.grid[1])
        mask = mask.repeat_interleave(cell[0], 1).repeat_interleave(cell[1], 2)[
            :, None
        ]  # (F, 1, H, W)
        return torch.where(mask, self.mask_color.to(pixels.dtype)[:, None, None], pixels)


class PatchConvolution(nn.Conv2d):
    """A convolution whose windows do not overlap, as a matrix product: its gradients are several times as fast."""

    def forward(self, x: Tensor) -> Tensor:
        """(F, C, H, W) -> (F, C', H / kernel height, W / kernel width), channels last."""
        height, width = self.kernel_size
        windows = torch.unflatten(x.permute(0, 2, 3, 1), 1, (-1, height))
        windows = torch.unflatten(windows, 3, (-1, width))  # (F, rows, height, columns, width, C)
        patches = windows.transpose(2, 3).flatten(3)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(patches, weight, self.bias).permute(0, 3, 1, 2)


class _Residual(nn.Module):
    """x + conv(activation(conv(norm(x)))), the second convolution initialized to zero."""

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
    """Frames (…, H, W, 3) uint8 -> pixels (F, 3, H, W) in [-1, 1], in channels-last memory format."""
    flat = frames.flatten(0, -4)
    pixels = flat.to(dtype)  # then scaled and shifted in place, in one pass
    torch.add(pixels.new_full((), -1.0), pixels, alpha=2 / 255, out=pixels)
    return pixels.permute(0, 3, 1, 2)


def color_jitter(
    pixels: Tensor, brightness: Tensor, saturation: Tensor, hue: Tensor | None = None
) -> Tensor:
    """Scale brightness and saturation of pixels (F, 3, H, W) by factors (F,), and rotate their hue by `hue` (F,) turns.

    Hue rotates around the grey axis, in the plane of colours of equal sum; no conversion to another colour space.
    """
    shape = (-1, 1, 1, 1)
    bright = (pixels + 1) * brightness.view(shape).to(pixels.dtype)  # in [0, 2]: black is 0
    grey = bright.mean(1, keepdim=True)
    chroma = (bright - grey) * saturation.view(shape).to(pixels.dtype)
    if hue is not None:
        angle = (2 * math.pi * hue).view(shape).to(pixels.dtype)
        # the cross product with the grey axis: perpendicular to both, of the same length
        perpendicular = (chroma.roll(1, 1) - chroma.roll(-1, 1)) * 3**-0.5
        chroma = chroma * angle.cos() + perpendicular * angle.sin()
    return (grey + chroma).clamp(0, 2) - 1

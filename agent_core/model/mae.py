"""MAE decoders: pixels of masked patches from the vision tower's tokens (masked auto-encoding)."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from agent_core.config import ModelConfig
from agent_core.model.block import Block
from agent_core.model.vit import sincos_2d


class CompactMaeDecoder(nn.Module):
    """Decoder of compact models: a few blocks over the grid cells, then each cell's pixels at half resolution."""

    def __init__(self, config: ModelConfig, width: int = 128) -> None:
        super().__init__()
        rows, columns = config.pooled_grid
        self.grid = (rows, columns)
        pixels = 3 * (config.frame_height // rows // 2) * (config.frame_width // columns // 2)
        self.proj_in = nn.Linear(config.width, width)
        self.position = nn.Parameter(torch.randn(rows * columns, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.mae_blocks)
        )
        self.proj_out = nn.Linear(width, pixels)

    def forward(self, patches: Tensor, patch_mask: Tensor) -> Tensor:
        """(F, P, D) -> (F, P, pixels of a cell); `patch_mask` is unused: the vision tower masked the pixels."""
        x = self.proj_in(patches) + self.position
        on_cpu = x.device.type == "cpu"  # its fused kernel is five times slower for so few tokens
        with sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext():
            for block in self.blocks:
                x = block(x)
        pixels: Tensor = self.proj_out(x)
        return pixels

    def targets(self, pixels: Tensor) -> Tensor:
        """Pixels (F, 3, H, W) in [-1, 1] -> (F, P, pixels of a cell), averaged over 2x2 pixels."""
        rows = pixels[:, :, ::2].float() + pixels[:, :, 1::2].float()  # much faster than avg_pool2d
        return patchify((rows[..., ::2] + rows[..., 1::2]) / 4, self.grid)


class MaeDecoder(nn.Module):
    """Decoder of the paper: mask tokens, fixed positions, blocks as wide as the encoder, all pixels of a patch."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.grid = config.patch_grid
        self.proj_in = nn.Linear(width, width)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        table = torch.cat([torch.zeros(1, width), sincos_2d(self.grid, width)])
        self.position = nn.Parameter(table, requires_grad=False)
        self.blocks = nn.ModuleList(
            Block(width, config.mae_heads) for _ in range(config.mae_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.proj_out = nn.Linear(width, 3 * config.patch**2)

    def forward(self, patches: Tensor, patch_mask: Tensor) -> Tensor:
        """(F, 1 + P, D), the class token first, and `patch_mask` (F, P) bool -> (F, P, pixels of a patch)."""
        x = self.proj_in(patches)
        masked = torch.cat([patch_mask.new_zeros(len(patch_mask), 1), patch_mask], 1)[:, :, None]
        # (F, 1 + P, 1): the class token is never masked
        x = torch.where(masked, self.mask_token.to(x.dtype), x) + self.position
        for block in self.blocks:
            x = block(x)
        pixels: Tensor = self.proj_out(self.norm(x))[:, 1:]
        return pixels

    def targets(self, pixels: Tensor) -> Tensor:
        """Pixels (F, 3, H, W) in [-1, 1] -> (F, P, pixels of a patch)."""
        return patchify(pixels, self.grid)


def patchify(pixels: Tensor, grid: tuple[int, int]) -> Tensor:
    """(F, 3, H, W) -> (F, rows * columns, 3 * pixels of a cell)."""
    rows, columns = grid
    height, width = pixels.shape[2] // rows, pixels.shape[3] // columns
    cells = pixels.reshape(-1, 3, rows, height, columns, width)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

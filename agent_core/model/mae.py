"""What was behind the hidden patches? Decoders from visual tokens to pixels (masked auto-encoding)."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from agent_core.config import ModelConfig
from agent_core.model.block import Block
from agent_core.model.vit import sincos_2d


class CompactMaeDecoder(nn.Module):
    """Compact models: a few blocks over the cells, then a linear map to the pixels of each, at half resolution."""

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
        """(F, P, D) -> (F, P, pixels of a cell); what is `hidden` (F, P) was painted over before."""
        x = self.proj_in(patches) + self.position
        on_processor = x.device.type == "cpu"  # for so few its fused kernel is five times slower
        with sdpa_kernel(SDPBackend.MATH) if on_processor else nullcontext():
            for block in self.blocks:
                x = block(x)
        pixels: Tensor = self.proj_out(x)
        return pixels

    def targets(self, pictures: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, P, pixels of a cell), averaged over 2x2 pixels."""
        return patchify(nn.functional.avg_pool2d(pictures, 2), self.grid)


class MaeDecoder(nn.Module):
    """The paper's: mask tokens for the hidden patches, fixed positions, blocks as wide as the encoder, all pixels."""

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
        """(F, 1 + P, D), the class token first, and `hidden` (F, P) -> (F, P, pixels of a patch)."""
        x = self.proj_in(patches)
        masked = torch.cat([patch_mask.new_zeros(len(patch_mask), 1), patch_mask], 1)[:, :, None]
        x = torch.where(masked, self.mask_token.to(x.dtype), x) + self.position
        for block in self.blocks:
            x = block(x)
        pixels: Tensor = self.proj_out(self.norm(x))[:, 1:]
        return pixels

    def targets(self, pictures: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, P, pixels of a patch)."""
        return patchify(pictures, self.grid)


def patchify(pictures: Tensor, grid: tuple[int, int]) -> Tensor:
    """(F, 3, H, W) -> (F, rows * columns, 3 * cell pixels)."""
    rows, columns = grid
    height, width = pictures.shape[2] // rows, pictures.shape[3] // columns
    cells = pictures.reshape(-1, 3, rows, height, columns, width)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

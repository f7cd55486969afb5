"""What was behind the hidden patches? A light decoder from visual tokens to pixels (masked auto-encoding)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agent_core.config import ModelConfig


class PixelDecoder(nn.Module):
    """A few blocks over the visual tokens, then a linear map to the pixels of each cell, at half resolution."""

    def __init__(self, config: ModelConfig, width: int = 128) -> None:
        super().__init__()
        rows, columns = config.visual_grid
        self.grid = (rows, columns)
        pixels = 3 * (config.frame_height // rows // 2) * (config.frame_width // columns // 2)
        self.enter = nn.Linear(config.width, width)
        self.position = nn.Parameter(torch.randn(rows * columns, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.mae_blocks)
        )
        self.leave = nn.Linear(width, pixels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(F, V, D) -> (F, V, pixels of a cell)."""
        x = self.enter(tokens) + self.position
        for block in self.blocks:
            x = block(x)
        pixels: Tensor = self.leave(x)
        return pixels

    def targets(self, pictures: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, V, pixels of a cell), averaged over 2x2 pixels."""
        half = nn.functional.avg_pool2d(pictures, 2)
        rows, columns = self.grid
        height, width = half.shape[2] // rows, half.shape[3] // columns
        cells = half.reshape(-1, 3, rows, height, columns, width)
        return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

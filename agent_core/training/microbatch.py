"""Micro-batches: one optimizer step's batch in parts that add up, over processes and gradient accumulation.

Every process draws the same windows from seed and step and takes its own rows of them. The losses of a micro-batch are
normalized by the token counts of the whole batch, so losses and gradients add up to those of one process with the
whole batch at once.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from agent_core.config import RunConfig
from agent_core.data.dataset import WindowDataset, step_generator
from agent_core.errors import ConfigError
from agent_core.model.batch import Batch
from agent_core.model.block import Block
from agent_core.model.conv_stem import VisionTower, color_jitter, normalize_pixels
from agent_core.model.iafm import IAFM
from agent_core.training.distributed import ProcessGroup
from agent_core.training.loss import Losses, MaskedPatches, TokenCounts, count_tokens, losses


@dataclass
class MicroBatch:
    """Some rows of a step's batch, ready for the model."""

    batch: Batch
    pictures: Tensor
    masked: MaskedPatches | None


class LossModule(nn.Module):
    """The model and its loss as one module, so that parallel training sees every weight in use."""

    def __init__(self, model: IAFM, config: RunConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    def forward(self, micro: MicroBatch, counts: TokenCounts) -> tuple[Tensor, Tensor]:
        """The micro-batch's share of the loss, and [total, language, mae, action] for the log."""
        patch_mask = None if micro.masked is None else micro.masked.patches.flatten(0, 1)
        outputs = self.model(micro.batch, micro.pictures, patch_mask)
        each: Losses = losses(
            self.model, micro.batch, outputs, self.config.loss, micro.masked, counts
        )
        values = [each.total.detach(), each.language, each.mae, each.action]
        return each.total, torch.stack(values)


def compile_layers(loss_module: LossModule) -> None:
    """Compile each layer in place (torch.compile): names of weights stay, shapes are dynamic.

    The convolutional stem always has the same batch shape and is compiled for just that.
    Raises `ConfigError` where there is nothing to compile with.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        raise ConfigError("train.compile needs a C++ compiler: install g++, or name yours in CXX")
    for layer in loss_module.modules():
        if isinstance(layer, (Block, VisionTower)):
            layer.compile(dynamic=isinstance(layer, Block))


def sample_microbatch(
    dataset: WindowDataset, config: RunConfig, step: int, rows: slice, dtype: torch.dtype
) -> MicroBatch:
    """Rows of the batch of one step; what is drawn depends on seed and step alone.

    Rows without masked patches still send one window with none through the MAE decoder, with a loss of 0: processes
    that share weights must compute the same layers.
    """
    generator = step_generator(config.train.seed, step, dataset.device)
    size, loss, model = config.train.batch, config.loss, config.model
    batch = dataset.sample("train", size, config.data, generator, rows)
    frames = batch.frame_mask.shape[1]
    pictures = normalize_pixels(batch.frames, dtype)
    if config.data.color_jitter or config.data.hue:
        draw = 2 * torch.rand(3, size, generator=generator, device=dataset.device)[:, rows] - 1
        brightness, saturation, hue = draw.repeat_interleave(frames, 1)
        amount, turn = config.data.color_jitter, config.data.hue
        pictures = color_jitter(
            pictures, 1 + amount * brightness, 1 + amount * saturation, turn * hue if turn else None
        )
    windows = round(size * loss.mae_clip_fraction)  # with masked patches: the first of the batch
    if not windows or not loss.mae:
        return MicroBatch(batch, pictures, None)
    grid = model.patch_grid if model.is_vit_opt else model.pooled_grid
    ratios = torch.tensor(loss.mae_mask_ratio, device=dataset.device)
    ratio = ratios[torch.arange(windows, device=dataset.device) % len(ratios)]
    shape = (windows, frames, grid[0] * grid[1])
    draw = torch.rand(shape, generator=generator, device=dataset.device)
    patches = (draw < ratio[:, None, None])[rows]
    if not len(patches):
        patches = torch.zeros((1, *shape[1:]), dtype=torch.bool, device=dataset.device)
    patches = patches & batch.frame_mask[: len(patches), :, None]
    return MicroBatch(batch, pictures, MaskedPatches(patches, pictures[: len(patches) * frames]))


def global_counts(
    micro_batches: list[MicroBatch], visual_tokens: int, group: ProcessGroup
) -> TokenCounts:
    """Token counts of the whole batch over all micro-batches of all processes."""
    local = count_tokens(micro_batches[0].batch, visual_tokens, micro_batches[0].masked)
    for micro in micro_batches[1:]:
        local = local + count_tokens(micro.batch, visual_tokens, micro.masked)
    names = [f.name for f in fields(TokenCounts)]
    values: Any = group.all_reduce(torch.stack([getattr(local, name).double() for name in names]))
    return TokenCounts(*values.float().unbind())

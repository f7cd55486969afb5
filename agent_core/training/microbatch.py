"""How is one optimiser step's batch cut into parts that add up, over micro-batches and processes?

Every process draws the same windows from seed and step and takes its own rows of them. Parts are scored against the
counts of the whole batch, so their losses and gradients add up to those of one process with everything at once.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from agent_core.config import ConfigError, RunConfig
from agent_core.data.dataset import WindowDataset
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

    def forward(self, part: MicroBatch, counts: TokenCounts) -> tuple[Tensor, Tensor]:
        """The part's share of the loss, and [total, language, mae, action] for the log."""
        hidden = None if part.masked is None else part.masked.patches.flatten(0, 1)
        outputs = self.model(part.batch, part.pictures, hidden)
        found: Losses = losses(
            self.model, part.batch, outputs, self.config.loss, part.masked, counts
        )
        said = torch.stack([found.total.detach(), found.language, found.mae, found.action])
        return found.total, said


def compile_layers(loss_module: LossModule) -> None:
    """Compile each layer in place: names of weights stay, and windows of any length share one program.

    The convolutional stem always sees as many pictures and has a program for just that.
    Raises `ConfigError` where there is nothing to compile with.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        raise ConfigError("train.compile needs a C++ compiler: install g++, or name yours in CXX")
    for layer in loss_module.modules():
        if isinstance(layer, (Block, VisionTower)):
            layer.compile(dynamic=isinstance(layer, Block))


def sample_microbatch(
    store: WindowDataset, config: RunConfig, step: int, rows: slice, dtype: torch.dtype
) -> MicroBatch:
    """Rows of the batch of one step; what is drawn depends on seed and step alone.

    Rows without hidden patches still send one window with none through the pixel decoder, which counts for nothing:
    processes that share weights must compute the same layers.
    """
    generator = torch.Generator(store.device).manual_seed(config.train.seed * 1_000_003 + step)
    size, loss, model = config.train.batch, config.loss, config.model
    batch = store.sample("train", size, config.data, generator, max_rows=rows)
    count_ = batch.frame_mask.shape[1]
    pictures = normalize_pixels(batch.frames, dtype)
    if config.data.color_jitter or config.data.hue:
        draw = 2 * torch.rand(3, size, generator=generator, device=store.device)[:, rows] - 1
        bright, vivid, turn = draw.repeat_interleave(count_, 1)
        amount, hue = config.data.color_jitter, config.data.hue
        turned = hue * turn if hue else None
        pictures = color_jitter(pictures, 1 + amount * bright, 1 + amount * vivid, turned)
    chosen = round(size * loss.mae_clip_fraction)
    if not chosen or not loss.mae:
        return MicroBatch(batch, pictures, None)
    grid = model.patch_grid if model.is_vit_opt else model.pooled_grid
    shares = torch.tensor(loss.mae_mask_ratio, device=store.device)
    share = shares[torch.arange(chosen, device=store.device) % len(shares)]
    shape = (chosen, count_, grid[0] * grid[1])
    draw = torch.rand(shape, generator=generator, device=store.device)
    patches = (draw < share[:, None, None])[rows]
    if not len(patches):
        patches = torch.zeros((1, *shape[1:]), dtype=torch.bool, device=store.device)
    patches = patches & batch.frame_mask[: len(patches), :, None]
    return MicroBatch(batch, pictures, MaskedPatches(patches, pictures[: len(patches) * count_]))


def global_counts(parts: list[MicroBatch], visual_tokens: int, ranks: ProcessGroup) -> TokenCounts:
    """Counts of the whole batch over all parts of all processes."""
    mine = count_tokens(parts[0].batch, visual_tokens, parts[0].masked)
    for part in parts[1:]:
        mine = mine + count_tokens(part.batch, visual_tokens, part.masked)
    names = [f.name for f in fields(TokenCounts)]
    values: Any = ranks.all_reduce(torch.stack([getattr(mine, name).double() for name in names]))
    return TokenCounts(*values.float().unbind())

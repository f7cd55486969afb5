"""How do weights move? AdamW, and a rate that warms up and falls over the budget."""

from __future__ import annotations

import math

import torch
from torch import nn

from agent_core.config import RunConfig
from agent_core.training.sharding import local_shard


def make_optimizer(model: nn.Module, config: RunConfig) -> torch.optim.AdamW:
    """AdamW; no weight decay on biases, norms, slots, places and embeddings."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    kept: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        free = weight.ndim < 2 or id(weight) in tables
        free = free or any(part in name for part in ("slot", "position", "time_bias"))
        (kept if free else decayed).append(weight)
    groups = [
        {"params": decayed, "weight_decay": config.train.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.train.lr, betas=config.train.betas, fused=True)


def learning_rate(config: RunConfig, step: int, fraction: float) -> float:
    """Linear warm-up by steps, then a cosine over the budget."""
    settings = config.train
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    cosine = 0.5 + 0.5 * math.cos(math.pi * fraction)
    return settings.lr * warm * (settings.lr_end + (1 - settings.lr_end) * cosine)


@torch.no_grad()
def update_ema(ema_model: nn.Module, model: nn.Module, step: int, ema_decay: float) -> None:
    """Move the averaged weights a little towards the trained ones, faster in the first steps."""
    decay = min(ema_decay, (1 + step) / (10 + step))
    slow = [local_shard(p.detach()) for p in ema_model.parameters()]
    fast = [local_shard(p.detach()) for p in model.parameters()]
    torch._foreach_lerp_(slow, fast, 1 - decay)

"""Optimizer: AdamW with weight decay on matrices alone, and the exponential moving average (EMA) of the weights."""

from __future__ import annotations

import torch
from torch import nn

from agent_core.config import RunConfig
from agent_core.training.sharding import local_shard


def make_optimizer(model: nn.Module, config: RunConfig) -> torch.optim.AdamW:
    """AdamW; no weight decay on biases, norms and embeddings (of tokens, slots and positions)."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    undecayed: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        free = weight.ndim < 2 or id(weight) in tables
        free = free or any(word in name for word in ("slot", "position", "time_bias"))
        (undecayed if free else decayed).append(weight)
    groups = [
        {"params": decayed, "weight_decay": config.train.weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.train.lr, betas=config.train.betas, fused=True)


@torch.no_grad()
def update_ema(ema_model: nn.Module, model: nn.Module, step: int, ema_decay: float) -> None:
    """One EMA update towards the trained weights; the decay is smaller in the first steps."""
    decay = min(ema_decay, (1 + step) / (10 + step))
    averaged = [local_shard(p.detach()) for p in ema_model.parameters()]
    trained = [local_shard(p.detach()) for p in model.parameters()]
    torch._foreach_lerp_(averaged, trained, 1 - decay)

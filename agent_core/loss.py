"""How wrong is the model? The paper's three losses and their joint normalisation (Eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from agent_core.config import LossConfig
from agent_core.model.iafm import IAFM, Outputs
from agent_core.sequence import Batch


@dataclass
class Losses:
    """The number to minimise, and each loss as a mean over its own tokens or patches (nats, squared error)."""

    total: Tensor
    language: Tensor
    mae: Tensor
    action: Tensor


def losses(
    model: IAFM, batch: Batch, outputs: Outputs, config: LossConfig, masked: Masked | None = None
) -> Losses:
    """L = (L_lang + L_mae + L_act) / (|W| + sum(|V| + |A|)) over the batch, or the mean of means."""
    text = _token_loss(model, outputs.text, batch.text, batch.text != 0)
    thought = _token_loss(model, outputs.thought, batch.thought, batch.thought != 0)
    language, words = text[0] + thought[0], text[1] + thought[1]
    scored = (batch.actions != 0) & (batch.scored & batch.present)[:, :, None]
    action, presses = _token_loss(model, outputs.actions, batch.actions, scored)
    mae, patches = _pixel_loss(model, outputs, masked)
    w_language, w_mae, w_action = config.language, config.mae, config.action
    if config.normalization == "paper":
        held = (batch.text != 0).sum() + (batch.thought != 0).sum()
        shown = batch.present.sum() * outputs.visual_tokens
        pressed = ((batch.actions != 0) & batch.present[:, :, None]).sum()
        total = (w_language * language + w_mae * mae + w_action * action) / (held + shown + pressed)
    else:
        total = (
            w_language * language / words.clamp(min=1)
            + w_mae * mae / patches.clamp(min=1)
            + w_action * action / presses.clamp(min=1)
        )
    return Losses(
        total,
        (language / words.clamp(min=1)).detach(),
        (mae / patches.clamp(min=1)).detach(),
        (action / presses.clamp(min=1)).detach(),
    )


@dataclass
class Masked:
    """The first M windows of a batch had patches hidden: which ones (M, N, V), and their whole pictures."""

    patches: Tensor
    pictures: Tensor
    """(M * N, 3, H, W) before hiding."""


def _token_loss(model: IAFM, hidden: Tensor, ids: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of -log p of each token after the first of its segment, and how many: (…, S, D) and (…, S)."""
    targets, counted = ids[..., 1:], valid[..., 1:]
    if targets.numel() == 0:
        return hidden.sum() * 0.0, counted.sum()
    logits = model.logits(hidden[..., :-1, :]).flatten(0, -2).float()
    nats = F.cross_entropy(logits, targets.flatten(), reduction="none")
    return (nats * counted.flatten()).sum(), counted.sum()


def _pixel_loss(model: IAFM, outputs: Outputs, masked: Masked | None) -> tuple[Tensor, Tensor]:
    """Sum over hidden patches of the mean squared error of their pixels, and how many patches."""
    if masked is None:
        zero = outputs.patches.new_zeros((), dtype=torch.float32)
        return zero, zero
    tokens = outputs.patches[: len(masked.patches)].flatten(0, 1)
    patches = masked.patches.flatten(0, 1)
    found = model.pixels(tokens, patches).float()
    error = (found - model.pixels.targets(masked.pictures).float()).square()
    return (error.mean(2) * patches).sum(), patches.sum()

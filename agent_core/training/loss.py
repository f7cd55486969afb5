"""Losses: language, masked patches (MAE) and actions, with the paper's joint normalization (Eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from agent_core.config import LossConfig
from agent_core.model.batch import Batch
from agent_core.model.iafm import IAFM, ModelOutput

_ROWS = 128
"""Targets are padded to a multiple of this: a matrix product of a new size takes a processor milliseconds to plan."""
IGNORE_INDEX = -100


@dataclass
class Losses:
    """The loss to minimize, and each loss as a mean over its tokens (nats per token) or patches (squared error)."""

    total: Tensor
    language: Tensor
    mae: Tensor
    action: Tensor


@dataclass
class MaskedPatches:
    """Masked patches of the first M windows of a batch: which ones (M, N, V), and the unmasked frames."""

    patches: Tensor
    pictures: Tensor
    """(M * N, 3, H, W) before masking."""


@dataclass
class TokenCounts:
    """Token counts of a batch; those of its micro-batches add up to them."""

    text: Tensor
    patches: Tensor
    actions: Tensor
    total: Tensor
    """|W| + sum(|V| + |A|) of Eq. 5."""
    frames: Tensor
    """Frames that are there; those before an episode's beginning are not."""

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(
            self.text + other.text,
            self.patches + other.patches,
            self.actions + other.actions,
            self.total + other.total,
            self.frames + other.frames,
        )


def count_tokens(
    batch: Batch, visual_tokens: int, masked: MaskedPatches | None = None
) -> TokenCounts:
    """Counts of a batch, from its ids alone."""
    words = _text_mask(batch.instruction_ids).sum() + _text_mask(batch.thought_ids).sum()
    patches = torch.zeros_like(words) if masked is None else masked.patches.sum()
    texts = (batch.instruction_ids != 0).sum() + (batch.thought_ids != 0).sum()
    frames = batch.frame_mask.sum()
    visual = frames * visual_tokens
    actions = ((batch.actions != 0) & batch.frame_mask[:, :, None]).sum()
    return TokenCounts(words, patches, _action_mask(batch).sum(), texts + visual + actions, frames)


def losses(
    model: IAFM,
    batch: Batch,
    outputs: ModelOutput,
    config: LossConfig,
    masked: MaskedPatches | None = None,
    counts: TokenCounts | None = None,
) -> Losses:
    """L = (L_lang + L_mae + L_act) / (|W| + sum(|V| + |A|)) over the batch (Eq. 5), or the sum of the three means.

    With the `counts` of a whole batch of which this is a micro-batch, the losses add up to the batch's.
    """
    n = counts or count_tokens(batch, outputs.visual_tokens, masked)
    text = _token_loss(
        model, outputs.text, batch.instruction_ids, _text_mask(batch.instruction_ids)
    )
    thought = _token_loss(model, outputs.thought, batch.thought_ids, _text_mask(batch.thought_ids))
    action = _token_loss(model, outputs.actions, batch.actions, _action_mask(batch))
    language, mae = text + thought, _pixel_loss(model, outputs, masked)
    means = (
        language / n.text.clamp(min=1),
        mae / n.patches.clamp(min=1),
        action / n.actions.clamp(min=1),
    )
    weights = (config.language, config.mae, config.action)
    if config.normalization == "paper":
        sums = zip(weights, (language, mae, action), strict=True)
        total = torch.stack([weight * loss for weight, loss in sums]).sum() / n.total
    else:
        total = torch.stack([w * mean for w, mean in zip(weights, means, strict=True)]).sum()
    return Losses(total, *(mean.detach() for mean in means))


def _text_mask(ids: Tensor) -> Tensor:
    """Which tokens of texts (B, S) are targets: all but the first of each, (B, S - 1) bool."""
    return ids[:, 1:] != 0


def _action_mask(batch: Batch) -> Tensor:
    """Which action tokens are targets, (B, N, A - 1) bool."""
    return (batch.actions[..., 1:] != 0) & (batch.loss_mask & batch.frame_mask)[:, :, None]


def _token_loss(model: IAFM, hidden: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Sum of -log p of the masked-in tokens after the first of their segment: (…, S, D) and (…, S)."""
    targets = ids[..., 1:]
    if targets.numel() == 0:
        return hidden.new_zeros((), dtype=torch.float32)
    hidden, targets = hidden[..., :-1, :][mask], targets[mask]  # (K, D), (K,)
    padding = -len(targets) % _ROWS
    logits = model.logits(F.pad(hidden, (0, 0, 0, padding))).float()
    targets = F.pad(targets, (0, padding), value=IGNORE_INDEX)
    return F.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="sum")


def _pixel_loss(model: IAFM, outputs: ModelOutput, masked: MaskedPatches | None) -> Tensor:
    """Sum over masked patches of the mean squared error of their pixels."""
    if masked is None or not len(masked.patches):
        return outputs.patches.new_zeros((), dtype=torch.float32)
    tokens = outputs.patches[: len(masked.patches)].flatten(0, 1)
    patches = masked.patches.flatten(0, 1)
    predicted = model.mae_decoder(tokens, patches).float()
    error = (predicted - model.mae_decoder.targets(masked.pictures).float()).square()
    out: Tensor = (error.mean(2) * patches).sum()
    return out

"""Training sequences of the CNN+GRU: consecutive steps around sampled ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agent_core.data.dataset import WindowDataset

SEQUENCE_LENGTH = 16
"""Consecutive steps of a sequence; the hidden state before them is empty, as at an episode's beginning."""


@dataclass(frozen=True)
class Sequences:
    """B sequences of N consecutive steps."""

    frames: Tensor
    """(B, N, H, W, 3) uint8."""
    text: Tensor
    """(B, W) ids."""
    target_actions: Tensor
    """(B, N, A) ids of the wanted actions."""
    loss_mask: Tensor
    """(B, N) bool: steps whose actions are learned; none after the episode's end or a gap in it."""
    present: Tensor
    """(B, N) bool: steps of the episode; the rest, at the end, is behind its own."""
    target_index: Tensor
    """(B,) index in the sequence of the sampled step: earlier ones lead up to it, later ones follow it."""


def build_sequences(dataset: WindowDataset, last: Tensor) -> Sequences:
    """Sequences around steps `last` (B,), beginning as long before them as their episodes allow."""
    begin = torch.maximum(last - SEQUENCE_LENGTH + 1, dataset.episode_start[last])
    steps = begin[:, None] + torch.arange(SEQUENCE_LENGTH, device=dataset.device)
    inside = steps.clamp(max=len(dataset.text_index) - 1)
    text_index = dataset.text_index[last]
    present = (steps == inside) & (
        dataset.episode_start[inside] == dataset.episode_start[last][:, None]
    )
    return Sequences(
        dataset.read_frames(inside),
        dataset.texts[text_index],
        dataset.first_action(dataset.target_actions[inside]),
        present & dataset.is_target[inside],
        present,
        last - begin,
    )

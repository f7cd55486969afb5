"""Training batch: windows of frames, text and action tokens as tensors, and the slots they fill."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

TEXT, VISUAL, ACTION, THOUGHT = range(4)


@dataclass
class Batch:
    """Windows as index tensors on one device (B windows of N frames)."""

    frames: Tensor
    """(B, N, H, W, 3) uint8 RGB."""
    frame_mask: Tensor
    """(B, N) bool; frames before the window's beginning are absent."""
    instruction_ids: Tensor
    """(B, W) ids, padded with 0."""
    actions: Tensor
    """(B, N, A) ids from START to END (of a chunk's last action), padded with 0."""
    loss_mask: Tensor
    """(B, N) bool: frames whose action is a target."""
    thought_ids: Tensor
    """(B, K) ids, padded with 0."""
    actions_masked: Tensor
    """(B,) bool: later frames cannot see the actions of earlier ones."""
    position_offset: Tensor
    """(B,) block of the first present frame, where places are absolute."""

    def __len__(self) -> int:
        return len(self.instruction_ids)


@dataclass(frozen=True)
class Layout:
    """Slots of each segment: text, frames x (visual + action), thought."""

    text: int
    frames: int
    visual: int
    action: int
    thought: int

    @property
    def frame_length(self) -> int:
        return self.visual + self.action

    @property
    def length(self) -> int:
        return self.text + self.frames * self.frame_length + self.thought

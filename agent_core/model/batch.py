"""Training batch: windows of frames, text and action tokens, and their layout as a sequence."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

TEXT, VISUAL, ACTION, THOUGHT = range(4)


@dataclass
class Batch:
    """B windows of N frames, on one device."""

    frames: Tensor
    """(B, N, H, W, 3) uint8 RGB."""
    frame_mask: Tensor
    """(B, N) bool; False for padding in front, where a window has fewer than N frames."""
    instruction_ids: Tensor
    """(B, W) ids, padded with 0."""
    actions: Tensor
    """(B, N, A) ids from START to END (of a chunk's last action), padded with 0."""
    loss_mask: Tensor
    """(B, N) bool: frames whose action counts in the loss."""
    thought_ids: Tensor
    """(B, K) ids, padded with 0."""
    actions_masked: Tensor
    """(B,) bool: frames do not attend to the actions of earlier frames."""
    position_offset: Tensor
    """(B,) block of the first frame in the ring of position ids, for models with absolute positions."""

    def __len__(self) -> int:
        return len(self.instruction_ids)


@dataclass(frozen=True)
class Layout:
    """Tokens of each segment of a sequence: text, frames x (visual + action), thought."""

    text: int
    num_frames: int
    visual: int
    action: int
    thought: int

    @property
    def frame_length(self) -> int:
        return self.visual + self.action

    @property
    def length(self) -> int:
        return self.text + self.num_frames * self.frame_length + self.thought

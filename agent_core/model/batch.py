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
    present: Tensor
    """(B, N) bool; frames before the window's beginning are absent."""
    text: Tensor
    """(B, W) ids, padded with 0."""
    actions: Tensor
    """(B, N, A) ids from START to END (of a chunk's last action), padded with 0."""
    scored: Tensor
    """(B, N) bool: frames whose action is a target."""
    thought: Tensor
    """(B, K) ids, padded with 0."""
    hidden: Tensor
    """(B,) bool: later frames cannot see the actions of earlier ones."""
    turn: Tensor
    """(B,) block of the first present frame, where places are absolute."""

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True)
class Layout:
    """Slots of each segment: text, frames x (visual + action), thought."""

    text: int
    frames: int
    visual: int
    action: int
    thought: int

    @property
    def block(self) -> int:
        return self.visual + self.action

    @property
    def length(self) -> int:
        return self.text + self.frames * self.block + self.thought

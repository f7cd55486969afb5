"""What stands where in the players' cache, and what does a new token see of it? Indices alone, no tensors of a model.

Every session owns one row, laid out like a training window:

    text | visual tokens of blocks 0 … R-1 | first action tokens of all blocks | second … | scratch

Frames enter the blocks as a ring, so nothing is recomputed when the window slides: in compact models only the distance
in frames enters attention, and models with absolute places are trained at every turn of the ring. One block more than
the window holds lets what was done before be written in one pass with the new frame, which takes the place of one it
no longer sees. The action tokens are last, the first of each block before the second: actions are short, and what is
behind the longest in use takes no part in a pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent_core.config import ModelConfig

Indices = NDArray[np.int64]
Columns = NDArray[np.int16]
UNSEEN = -1
"""The column of what a token does not see."""


@dataclass(frozen=True)
class Tokens:
    """Where new tokens of B sessions belong, one frame of each."""

    rows: Indices
    """(B,)"""
    frame: Indices
    """(B,)"""
    order: Indices
    """(B, Q) within their frame: visual tokens, then action tokens."""


class Ring:
    """Which frame, text and action every slot of every row holds.

    What a token sees is told as columns of the decoder's bias: the distance in frames, `memory_frames` for text, one
    more for text seen from text, `UNSEEN` for what it does not see.
    """

    def __init__(self, config: ModelConfig, show_actions: bool) -> None:
        self._shows, self._is_paper = show_actions, config.is_paper
        self._memory, self._visual = config.memory_frames, config.visual_tokens
        self._text, self._room = config.text_slots, config.visual_tokens + config.action_slots
        self._blocks = self._memory + int(show_actions)
        self._actions_at = self._text + self._blocks * self._visual
        self.scratch = self._text + self._blocks * self._room
        """First slot of what leaves no trace in play."""
        self.slots = self.scratch + config.thought_slots
        self._place = np.arange(self.slots)
        self._block_of = np.zeros(self.slots, np.int64)
        self._order_of = np.full(self.slots, -1, np.int32)
        for block in range(self._blocks):
            order = np.arange(self._room)
            slot = self._slot(np.full_like(order, block), order)
            self._block_of[slot], self._order_of[slot] = block, order
        self._is_text = self._place < self._text
        self._is_visual = (self._order_of >= 0) & (self._order_of < self._visual)
        self._is_action = self._order_of >= self._visual
        self._frame_of = np.zeros((0, self._blocks), np.int64)
        self._action_length = np.zeros((0, self._blocks), np.int64)
        self._text_length = np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Rows there are."""
        return len(self._text_length)

    def grow(self, more: int) -> None:
        """So many rows more, all empty."""
        blank = ((0, more), (0, 0))
        self._frame_of = np.pad(self._frame_of, blank, constant_values=-1)
        self._action_length = np.pad(self._action_length, blank)
        self._text_length = np.pad(self._text_length, (0, more))

    def forget(self, row: int) -> None:
        """A row's frames are seen no more."""
        self._frame_of[row] = -1

    def enter(self, rows: Indices, frames: Indices) -> None:
        """The newest frame of each row (B,); nothing was done after it yet."""
        block = frames % self._blocks
        self._frame_of[rows, block] = frames
        self._action_length[rows, block] = 0

    def note_action(self, row: int, frame: int, length: int) -> None:
        """So many action tokens follow a frame."""
        self._action_length[row, frame % self._blocks] = length

    def note_text(self, rows: Indices, lengths: Indices) -> None:
        """How many tokens of text rows (B,) hold."""
        self._text_length[rows] = lengths

    def slots_of(self, tokens: Tokens) -> Indices:
        """(B, Q) where in the cache they stand."""
        return self._slot(tokens.frame[:, None] % self._blocks, tokens.order)

    def places_of(self, tokens: Tokens) -> Indices:
        """(B, Q) absolute places, as in training, whatever slots they take."""
        return self._text + tokens.frame[:, None] % self._memory * self._room + tokens.order

    def used(self, tokens: Tokens) -> int:
        """Slots that take part in a pass: up to the last action token in use."""
        longest = int(tokens.order.max()) + 1 - self._visual
        if self._shows:
            longest = max(longest, int(self._action_length[tokens.rows].max()))
        return _even(self._actions_at + max(longest, 0) * self._blocks, self.slots)

    def sight(self, tokens: Tokens, used: int) -> Columns:
        """(B, Q, used) what each token sees of the first slots."""
        column = self._memory_of(tokens.rows, tokens.frame, used, self._shows)[:, None]
        order = self._order_of[:used]
        own = self._block_of[:used] == tokens.frame[:, None, None] % self._blocks
        if self._is_paper:  # pictures are causal too
            own &= order >= 0
            column[own] = UNSEEN
        else:
            own &= self._is_action[:used]
        mine = own & (order <= tokens.order.astype(np.int32)[:, :, None])
        return np.where(mine, np.int16(0), column)

    def sight_of_text(self) -> Columns:
        """(text slots, slots) what a text's tokens see: those before them."""
        causal = self._place[None] <= self._place[: self._text, None]
        column = np.where(causal, self._memory + 1, UNSEEN)
        return column.astype(np.int16)

    def sight_of_scratch(self, row: int, frame: int, length: int) -> Columns:
        """(slots,) what the last of `length` tokens in the scratch slots sees of a row's newest frame."""
        column: Columns = self._memory_of(np.array([row]), np.array([frame]), self.slots, False)[0]
        column[self.scratch : self.scratch + length] = 0
        return column

    def _slot(self, block: Indices, order: Indices) -> Indices:
        visual = self._text + block * self._visual + order
        action = self._actions_at + (order - self._visual) * self._blocks + block
        return np.where(order < self._visual, visual, action)

    def _memory_of(self, rows: Indices, now: Indices, used: int, actions: bool) -> Columns:
        """(B, used) what frames `now` (B,) see of text and earlier frames."""
        block_of = self._block_of[:used]
        held = self._frame_of[rows][:, block_of]
        distance = now[:, None] - held
        shown = np.broadcast_to(self._is_visual[:used], distance.shape)
        if actions:
            length = self._action_length[rows][:, block_of]
            written = self._order_of[:used] - self._visual < length
            shown = shown | (self._is_action[:used] & (distance > 0) & written)
        seen = shown & (held >= 0) & (distance >= 0) & (distance < self._memory)
        text = self._is_text[:used] & (self._place[:used] < self._text_length[rows][:, None])
        column = np.where(text, self._memory, np.where(seen, distance, UNSEEN))
        return column.astype(np.int16)


def _even(used: int, most: int) -> int:
    """Slots that take part, rounded up to 32: attention over an odd number takes up to a tenth longer on CPUs."""
    return min(-(-used // 32) * 32, most)

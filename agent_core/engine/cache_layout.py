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

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Aside:
    """Actions that are only weighed: those of a player behind each other in its scratch slots, none seeing another."""

    ids: Indices
    """(B, Q) tokens; a player with fewer writes the last once more, at its own place."""
    order: Indices
    """(B, Q) within their action."""
    index: Indices
    """(B, Q) among the player's tokens."""

    @classmethod
    def of(cls, actions: Sequence[Sequence[Sequence[int]]]) -> Aside:
        """Of B players, each of one action or more."""
        ids = [[token for action in each for token in action] for each in actions]
        order = [[k for action in each for k in range(len(action))] for each in actions]
        longest = max(map(len, ids))
        last = np.array([len(each) - 1 for each in ids])[:, None]
        index = np.minimum(np.arange(longest), last)
        at = np.arange(len(ids))[:, None], index
        return cls(padded(ids)[at], padded(order)[at], index)


class Ring:
    """Which frame, text and action every slot of every row holds.

    What a token sees is told as columns of the decoder's bias: the distance in frames, `memory_frames` for text, one
    more for text seen from text, `UNSEEN` for what it does not see.
    """

    def __init__(self, config: ModelConfig, show_actions: bool, alternatives: int = 0) -> None:
        self._shows, self._is_paper = show_actions, config.is_paper
        self._memory, self._visual = config.memory_frames, config.visual_tokens
        self._text, self._room = config.text_slots, config.visual_tokens + config.action_slots
        self._blocks = self._memory + int(show_actions)
        self._actions_at = self._text + self._blocks * self._visual
        self.scratch = self._text + self._blocks * self._room
        """First slot of what leaves no trace in play."""
        self.slots = self.scratch + max(config.thought_slots, alternatives * config.action_slots)
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
        size, count = tokens.order.shape
        before = self._memory_of(tokens.rows, tokens.frame, used, self._shows)
        column = np.repeat(before[:, None], count, 1)
        each, block = np.arange(size), tokens.frame % self._blocks
        later = tokens.order[:, :, None] - self._visual
        actions = self._by_length(column)
        written = np.arange(actions.shape[2]) <= later
        actions[each, :, :, block] = np.where(written, np.int16(0), np.int16(UNSEEN))
        if self._is_paper:  # pictures are causal too
            pictures = column[:, :, self._text : self._actions_at]
            pictures = pictures.reshape(size, count, self._blocks, self._visual)
            looked = np.arange(self._visual) <= tokens.order[:, :, None]
            pictures[each, :, block] = np.where(looked, np.int16(0), np.int16(UNSEEN))
        return column

    def sight_of_text(self) -> Columns:
        """(text slots, slots) what a text's tokens see: those before them."""
        causal = np.arange(self.slots) <= np.arange(self._text)[:, None]
        column = np.where(causal, self._memory + 1, UNSEEN)
        return column.astype(np.int16)

    def sight_aside(self, rows: Indices, frames: Indices, aside: Aside) -> Columns:
        """(B, Q, slots) what tokens see of the newest frames `frames` (B,), and of their own action so far."""
        before = self._memory_of(rows, frames, self.slots, self._shows)
        column = np.repeat(before[:, None], aside.ids.shape[1], 1)
        begin = aside.index - aside.order
        place = np.arange(self.slots - self.scratch)
        own = (place >= begin[:, :, None]) & (place <= aside.index[:, :, None])
        column[:, :, self.scratch :] = np.where(own, np.int16(0), np.int16(UNSEEN))
        return column

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
        """(B, used) what frames `now` (B,) see of text and earlier frames; of their own actions, all."""
        held = self._frame_of[rows]
        distance = now[:, None] - held
        seen = (held >= 0) & (distance >= 0) & (distance < self._memory)
        of_block = np.where(seen, distance, UNSEEN).astype(np.int16)  # (B, blocks)
        column = np.full((len(rows), used), UNSEEN, np.int16)
        text = np.arange(self._text) < self._text_length[rows][:, None]
        column[:, : self._text] = np.where(text, self._memory, UNSEEN)
        column[:, self._text : self._actions_at] = of_block.repeat(self._visual, 1)
        if actions:
            places = self._by_length(column)
            written = np.arange(places.shape[1])[:, None] < self._action_length[rows][:, None]
            places[:] = np.where(written, of_block[:, None], np.int16(UNSEEN))
        return column

    def _by_length(self, column: Columns) -> Columns:
        """The places of action tokens in (…, used), as a view: (…, tokens of an action, blocks)."""
        used = min(column.shape[-1], self.scratch)
        whole = (used - self._actions_at) // self._blocks
        places = column[..., self._actions_at : self._actions_at + whole * self._blocks]
        return places.reshape(*column.shape[:-1], whole, self._blocks)


def padded(rows: Sequence[Sequence[int]]) -> Indices:
    """(B, longest), zeros behind the shorter ones."""
    out = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for k, row in enumerate(rows):
        out[k, : len(row)] = row
    return out


def _even(used: int, most: int) -> int:
    """Slots that take part, rounded up to 32: attention over an odd number takes up to a tenth longer on CPUs."""
    return min(-(-used // 32) * 32, most)

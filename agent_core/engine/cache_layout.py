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
BiasIndex = NDArray[np.int16]
MASKED = -1
"""The column of what a token does not see."""


@dataclass(frozen=True)
class TokenPositions:
    """Where new tokens of B sessions belong, one frame of each."""

    slots: Indices
    """(B,)"""
    frame: Indices
    """(B,)"""
    offset: Indices
    """(B, Q) within their frame: visual tokens, then action tokens."""


@dataclass(frozen=True)
class CandidateTokens:
    """Actions that are only weighed: those of a player behind each other in its scratch slots, none seeing another."""

    ids: Indices
    """(B, Q) tokens; a player with fewer writes the last once more, at its own place."""
    offset: Indices
    """(B, Q) within their action."""
    index: Indices
    """(B, Q) among the player's tokens."""

    @classmethod
    def of(cls, actions: Sequence[Sequence[Sequence[int]]]) -> CandidateTokens:
        """Of B players, each of one action or more."""
        ids = [[token for action in each for token in action] for each in actions]
        order = [[k for action in each for k in range(len(action))] for each in actions]
        longest = max(map(len, ids))
        last = np.array([len(each) - 1 for each in ids])[:, None]
        index = np.minimum(np.arange(longest), last)
        at = np.arange(len(ids))[:, None], index
        return cls(pad_sequences(ids)[at], pad_sequences(order)[at], index)


class CacheLayout:
    """Which frame, text and action every slot of every row holds.

    What a token sees is told as columns of the decoder's bias: the distance in frames, `memory_frames` for text, one
    more for text seen from text, `UNSEEN` for what it does not see.
    """

    def __init__(
        self, config: ModelConfig, condition_on_actions: bool, num_candidates: int = 0
    ) -> None:
        self._condition_on_actions, self._is_paper = condition_on_actions, config.is_vit_opt
        self._context_frames, self._visual = config.context_frames, config.visual_tokens
        self._text, self._frame_length = (
            config.max_text_tokens,
            config.visual_tokens + config.max_action_tokens,
        )
        self._blocks = self._context_frames + int(condition_on_actions)
        self._actions_at = self._text + self._blocks * self._visual
        self.scratch = self._text + self._blocks * self._frame_length
        """First slot of what leaves no trace in play."""
        self.slots = self.scratch + max(
            config.max_thought_tokens, num_candidates * config.max_action_tokens
        )
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

    def reset(self, slot: int) -> None:
        """A row's frames are seen no more."""
        self._frame_of[slot] = -1

    def add_frame(self, slots: Indices, frames: Indices) -> None:
        """The newest frame of each row (B,); nothing was done after it yet."""
        block = frames % self._blocks
        self._frame_of[slots, block] = frames
        self._action_length[slots, block] = 0

    def set_action_length(self, slot: int, frame: int, length: int) -> None:
        """So many action tokens follow a frame."""
        self._action_length[slot, frame % self._blocks] = length

    def set_text_length(self, slots: Indices, lengths: Indices) -> None:
        """How many tokens of text rows (B,) hold."""
        self._text_length[slots] = lengths

    def cache_slots(self, tokens: TokenPositions) -> Indices:
        """(B, Q) where in the cache they stand."""
        return self._slot(tokens.frame[:, None] % self._blocks, tokens.offset)

    def position_ids(self, tokens: TokenPositions) -> Indices:
        """(B, Q) absolute places, as in training, whatever slots they take."""
        return (
            self._text
            + tokens.frame[:, None] % self._context_frames * self._frame_length
            + tokens.offset
        )

    def attended_length(self, tokens: TokenPositions) -> int:
        """Slots that take part in a pass: up to the last action token in use."""
        longest = int(tokens.offset.max()) + 1 - self._visual
        if self._condition_on_actions:
            longest = max(longest, int(self._action_length[tokens.slots].max()))
        return _round_up(self._actions_at + max(longest, 0) * self._blocks, self.slots)

    def attention_index(self, tokens: TokenPositions, length: int) -> BiasIndex:
        """(B, Q, used) what each token sees of the first slots."""
        size, count = tokens.offset.shape
        before = self._context_mask(tokens.slots, tokens.frame, length, self._condition_on_actions)
        bias_index = np.repeat(before[:, None], count, 1)
        each, block = np.arange(size), tokens.frame % self._blocks
        later = tokens.offset[:, :, None] - self._visual
        actions = self._action_view(bias_index)
        written = np.arange(actions.shape[2]) <= later
        actions[each, :, :, block] = np.where(written, np.int16(0), np.int16(MASKED))
        if self._is_paper:  # pictures are causal too
            pictures = bias_index[:, :, self._text : self._actions_at]
            pictures = pictures.reshape(size, count, self._blocks, self._visual)
            looked = np.arange(self._visual) <= tokens.offset[:, :, None]
            pictures[each, :, block] = np.where(looked, np.int16(0), np.int16(MASKED))
        return bias_index

    def text_mask(self) -> BiasIndex:
        """(text slots, slots) what a text's tokens see: those before them."""
        causal = np.arange(self.slots) <= np.arange(self._text)[:, None]
        bias_index = np.where(causal, self._context_frames + 1, MASKED)
        return bias_index.astype(np.int16)

    def candidate_mask(
        self, slots: Indices, frames: Indices, candidates: CandidateTokens
    ) -> BiasIndex:
        """(B, Q, slots) what tokens see of the newest frames `frames` (B,), and of their own action so far."""
        before = self._context_mask(slots, frames, self.slots, self._condition_on_actions)
        bias_index = np.repeat(before[:, None], candidates.ids.shape[1], 1)
        begin = candidates.index - candidates.offset
        place = np.arange(self.slots - self.scratch)
        own = (place >= begin[:, :, None]) & (place <= candidates.index[:, :, None])
        bias_index[:, :, self.scratch :] = np.where(own, np.int16(0), np.int16(MASKED))
        return bias_index

    def thought_mask(self, slot: int, frame: int, length: int) -> BiasIndex:
        """(slots,) what the last of `length` tokens in the scratch slots sees of a row's newest frame."""
        bias_index: BiasIndex = self._context_mask(
            np.array([slot]), np.array([frame]), self.slots, False
        )[0]
        bias_index[self.scratch : self.scratch + length] = 0
        return bias_index

    def _slot(self, block: Indices, offset: Indices) -> Indices:
        visual = self._text + block * self._visual + offset
        action = self._actions_at + (offset - self._visual) * self._blocks + block
        return np.where(offset < self._visual, visual, action)

    def _context_mask(self, slots: Indices, now: Indices, length: int, actions: bool) -> BiasIndex:
        """(B, used) what frames `now` (B,) see of text and earlier frames; of their own actions, all."""
        held = self._frame_of[slots]
        distance = now[:, None] - held
        seen = (held >= 0) & (distance >= 0) & (distance < self._context_frames)
        of_block = np.where(seen, distance, MASKED).astype(np.int16)  # (B, blocks)
        bias_index = np.full((len(slots), length), MASKED, np.int16)
        text = np.arange(self._text) < self._text_length[slots][:, None]
        bias_index[:, : self._text] = np.where(text, self._context_frames, MASKED)
        bias_index[:, self._text : self._actions_at] = of_block.repeat(self._visual, 1)
        if actions:
            places = self._action_view(bias_index)
            written = np.arange(places.shape[1])[:, None] < self._action_length[slots][:, None]
            places[:] = np.where(written, of_block[:, None], np.int16(MASKED))
        return bias_index

    def _action_view(self, bias_index: BiasIndex) -> BiasIndex:
        """The places of action tokens in (…, used), as a view: (…, tokens of an action, blocks)."""
        length = min(bias_index.shape[-1], self.scratch)
        whole = (length - self._actions_at) // self._blocks
        places = bias_index[..., self._actions_at : self._actions_at + whole * self._blocks]
        return places.reshape(*bias_index.shape[:-1], whole, self._blocks)


def pad_sequences(sequences: Sequence[Sequence[int]]) -> Indices:
    """(B, longest), zeros behind the shorter ones."""
    out = np.zeros((len(sequences), max(map(len, sequences))), np.int64)
    for k, row in enumerate(sequences):
        out[k, : len(row)] = row
    return out


def _round_up(length: int, most: int) -> int:
    """Slots that take part, rounded up to 32: attention over an odd number takes up to a tenth longer on CPUs."""
    return min(-(-length // 32) * 32, most)

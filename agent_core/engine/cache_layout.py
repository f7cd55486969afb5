"""KV cache layout: which cache slot holds which token, and what a new token attends to.

Index arithmetic in NumPy; no tensor of a model is touched. Every session owns one row of the KV cache, its batch slot.
The cache slots of a row follow each other like the tokens of a training window:

    text | visual tokens of blocks 0 … R-1 | first action tokens of all blocks | second ones | … | scratch

The R blocks are a ring buffer of frames: frame i is written to block i mod R, over the oldest one, so that nothing is
recomputed when the window slides. Compact models see only the distance in frames, which is an index into their learned
time bias. Models with absolute position ids are trained with every rotation of the ring.

R is the T frames of the context window, and one more where actions are conditioned on earlier actions. Then the
executed action of frame t-1 and the visual tokens of frame t are prefilled in one pass; the action still attends to
frame t-T, so frame t must not be written over it.

Action tokens of all blocks are interleaved and come last. Actions are short: a pass reads the cache only up to the
longest action in use (`CacheLayout.attended_length`).

In the shapes below B is sessions, Q new tokens of a session, V visual tokens of a frame, A action tokens of a frame, L
the cache slots that take part in a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent_core.config import ModelConfig

Indices = NDArray[np.int64]
BiasIndex = NDArray[np.int16]
"""What a query attends to, per key: 0 … T-1 is the distance in frames, T text seen from a frame, T + 1 text seen from
text, `MASKED` a key that is masked out. The numbers are columns of the decoder's time bias."""
MASKED = -1


@dataclass(frozen=True)
class TokenPositions:
    """Positions of new tokens: B sessions, one frame of each."""

    batch_slots: Indices
    """(B,) row of each session."""
    frame_index: Indices
    """(B,)"""
    offset: Indices
    """(B, Q) within their frame: visual tokens from 0, action tokens from V."""


@dataclass(frozen=True)
class CandidateTokens:
    """Candidate actions of B sessions in the scratch slots: one behind another, each masked from the others."""

    ids: Indices
    """(B, Q) tokens; a shorter row repeats its last token, at that token's position."""
    offset: Indices
    """(B, Q) within their candidate."""
    index: Indices
    """(B, Q) scratch slot, counted from the first one."""

    @classmethod
    def of(cls, candidates: Sequence[Sequence[Sequence[int]]]) -> CandidateTokens:
        """Lay out the candidates of B sessions, at least one of each session."""
        ids = [[token for action in actions for token in action] for actions in candidates]
        offsets = [[k for action in actions for k in range(len(action))] for actions in candidates]
        longest = max(map(len, ids))
        last = np.array([len(tokens) - 1 for tokens in ids])[:, None]
        index = np.minimum(np.arange(longest), last)
        gather = np.arange(len(ids))[:, None], index
        return cls(pad_sequences(ids)[gather], pad_sequences(offsets)[gather], index)


class CacheLayout:
    """Contents of every row's cache slots, and the attention masks that follow from them.

    Masks are arrays of `BiasIndex`, not of booleans.
    """

    def __init__(
        self, config: ModelConfig, condition_on_actions: bool, num_candidates: int = 0
    ) -> None:
        self._condition_on_actions = condition_on_actions
        self._causal_visual = config.is_vit_opt
        self._context_frames = config.context_frames
        self._text_slots = config.max_text_tokens
        self._visual_tokens = config.visual_tokens
        self._frame_length = config.visual_tokens + config.max_action_tokens
        self._num_blocks = config.context_frames + int(condition_on_actions)
        self._action_start = self._text_slots + self._num_blocks * self._visual_tokens
        self.scratch_start = self._text_slots + self._num_blocks * self._frame_length
        """First of the slots for candidates and thoughts, which no other token attends to."""
        self.num_cache_slots = self.scratch_start + max(
            config.max_thought_tokens, num_candidates * config.max_action_tokens
        )
        # (rows, R): frame index of each block, -1 where there is none, and the frame's action tokens
        self._frame_in_block = np.zeros((0, self._num_blocks), np.int64)
        self._action_length = np.zeros((0, self._num_blocks), np.int64)
        self._text_length = np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._text_length)

    def grow(self, more: int) -> None:
        """Append `more` empty rows."""
        new_rows = ((0, more), (0, 0))
        self._frame_in_block = np.pad(self._frame_in_block, new_rows, constant_values=-1)
        self._action_length = np.pad(self._action_length, new_rows)
        self._text_length = np.pad(self._text_length, (0, more))

    def reset(self, batch_slot: int) -> None:
        """Mask out all frames of a row."""
        self._frame_in_block[batch_slot] = -1

    def add_frame(self, batch_slots: Indices, frame_index: Indices) -> None:
        """Put the newest frame of each row (B,) into its block, without actions yet."""
        block = frame_index % self._num_blocks
        self._frame_in_block[batch_slots, block] = frame_index
        self._action_length[batch_slots, block] = 0

    def set_action_length(self, batch_slot: int, frame_index: int, length: int) -> None:
        """Set the number of action tokens that follow a frame."""
        self._action_length[batch_slot, frame_index % self._num_blocks] = length

    def set_text_length(self, batch_slots: Indices, lengths: Indices) -> None:
        """Set the number of text tokens of rows (B,)."""
        self._text_length[batch_slots] = lengths

    def cache_slots(self, tokens: TokenPositions) -> Indices:
        """(B, Q) the cache slot of every token."""
        block = tokens.frame_index[:, None] % self._num_blocks
        visual = self._text_slots + block * self._visual_tokens + tokens.offset
        action_offset = tokens.offset - self._visual_tokens
        action = self._action_start + action_offset * self._num_blocks + block
        return np.where(tokens.offset < self._visual_tokens, visual, action)

    def position_ids(self, tokens: TokenPositions) -> Indices:
        """(B, Q) absolute positions as in training, where a ring of T blocks keeps each frame's tokens together."""
        block = tokens.frame_index[:, None] % self._context_frames
        return self._text_slots + block * self._frame_length + tokens.offset

    def attended_length(self, tokens: TokenPositions) -> int:
        """L, the first cache slots that take part in a pass: up to the last action token in use."""
        longest = int(tokens.offset.max()) + 1 - self._visual_tokens
        if self._condition_on_actions:
            longest = max(longest, int(self._action_length[tokens.batch_slots].max()))
        used = self._action_start + max(longest, 0) * self._num_blocks
        return _round_up(used, self.num_cache_slots)

    def attention_index(self, tokens: TokenPositions, length: int) -> BiasIndex:
        """(B, Q, L) bias index of the first L cache slots for every new token."""
        context = self._context_mask(
            tokens.batch_slots, tokens.frame_index, length, self._condition_on_actions
        )
        bias_index = np.repeat(context[:, None], tokens.offset.shape[1], 1)  # (B, Q, L)
        self._mask_later_actions(bias_index, tokens)
        if self._causal_visual:
            self._mask_later_visual(bias_index, tokens)
        return bias_index

    def text_mask(self) -> BiasIndex:
        """(text slots, cache slots) causal mask of instruction tokens."""
        causal = np.arange(self.num_cache_slots) <= np.arange(self._text_slots)[:, None]
        bias_index = np.where(causal, self._context_frames + 1, MASKED)
        return bias_index.astype(np.int16)

    def candidate_mask(
        self, batch_slots: Indices, frame_index: Indices, candidates: CandidateTokens
    ) -> BiasIndex:
        """(B, Q, cache slots) mask of candidate tokens: the context of the newest frames (B,), then causal within each
        candidate.
        """
        context = self._context_mask(
            batch_slots, frame_index, self.num_cache_slots, self._condition_on_actions
        )
        bias_index = np.repeat(context[:, None], candidates.ids.shape[1], 1)
        begin = candidates.index - candidates.offset  # (B, Q) first scratch slot of the candidate
        scratch = np.arange(self.num_cache_slots - self.scratch_start)
        attended = (scratch >= begin[:, :, None]) & (scratch <= candidates.index[:, :, None])
        bias_index[:, :, self.scratch_start :] = _same_frame(attended)
        return bias_index

    def thought_mask(self, batch_slot: int, frame_index: int, length: int) -> BiasIndex:
        """(cache slots,) mask of the last of `length` thought tokens in the scratch slots; actions are masked out."""
        bias_index: BiasIndex = self._context_mask(
            np.array([batch_slot]), np.array([frame_index]), self.num_cache_slots, False
        )[0]
        bias_index[self.scratch_start : self.scratch_start + length] = 0
        return bias_index

    def _context_mask(
        self, batch_slots: Indices, frame_index: Indices, length: int, actions: bool
    ) -> BiasIndex:
        """(B, L) mask of text and frames of the context window, seen from the frames (B,); own frame unmasked."""
        cached = self._frame_in_block[batch_slots]  # (B, R)
        distance = frame_index[:, None] - cached
        in_context = (cached >= 0) & (distance >= 0) & (distance < self._context_frames)
        block_index = np.where(in_context, distance, MASKED).astype(np.int16)  # (B, R)
        bias_index = np.full((len(batch_slots), length), MASKED, np.int16)
        text = np.arange(self._text_slots) < self._text_length[batch_slots][:, None]
        bias_index[:, : self._text_slots] = np.where(text, self._context_frames, MASKED)
        # every visual token of a block has the block's distance
        visual = slice(self._text_slots, self._action_start)
        bias_index[:, visual] = block_index.repeat(self._visual_tokens, 1)
        if actions:
            view = self._action_view(bias_index)  # (B, A, R)
            lengths = self._action_length[batch_slots][:, None]  # (B, 1, R)
            written = np.arange(view.shape[1])[:, None] < lengths
            view[:] = np.where(written, block_index[:, None], np.int16(MASKED))
        return bias_index

    def _mask_later_actions(self, bias_index: BiasIndex, tokens: TokenPositions) -> None:
        """Make the action slots of each token's own frame causal, in place."""
        view = self._action_view(bias_index)  # (B, Q, A, R)
        sessions, block = np.arange(len(tokens.offset)), tokens.frame_index % self._num_blocks
        action_offset = tokens.offset[:, :, None] - self._visual_tokens  # negative: a visual token
        attended = np.arange(view.shape[2]) <= action_offset  # (B, Q, A)
        view[sessions, :, :, block] = _same_frame(attended)

    def _mask_later_visual(self, bias_index: BiasIndex, tokens: TokenPositions) -> None:
        """Make the visual slots of each token's own frame causal, in place: OPT attends to earlier tokens alone."""
        view = bias_index[:, :, self._text_slots : self._action_start]
        view = view.reshape(*tokens.offset.shape, self._num_blocks, self._visual_tokens)
        sessions, block = np.arange(len(tokens.offset)), tokens.frame_index % self._num_blocks
        attended = np.arange(self._visual_tokens) <= tokens.offset[:, :, None]  # (B, Q, V)
        view[sessions, :, block] = _same_frame(attended)

    def _action_view(self, bias_index: BiasIndex) -> BiasIndex:
        """Action slots of a mask (…, L) as a view (…, A, R): action tokens are interleaved by block."""
        length = min(bias_index.shape[-1], self.scratch_start)
        count = (length - self._action_start) // self._num_blocks
        end = self._action_start + count * self._num_blocks
        actions = bias_index[..., self._action_start : end]
        return actions.reshape(*bias_index.shape[:-1], count, self._num_blocks)


def pad_sequences(sequences: Sequence[Sequence[int]], length: int = 0) -> Indices:
    """(B, longest or `length`), right-padded with zeros."""
    out = np.zeros((len(sequences), max(length, *map(len, sequences))), np.int64)
    for k, sequence in enumerate(sequences):
        out[k, : len(sequence)] = sequence
    return out


def pad_with_last(tokens: Sequence[Sequence[int]], first: Sequence[int]) -> tuple[Indices, Indices]:
    """(B, longest) ids and their offsets from `first` on; a shorter row repeats its last token at its own offset."""
    longest = max(map(len, tokens))
    ids = [[*row, *[row[-1]] * (longest - len(row))] for row in tokens]
    offsets = [
        [begin + min(k, len(row) - 1) for k in range(longest)]
        for begin, row in zip(first, tokens, strict=True)
    ]
    return np.array(ids), np.array(offsets)


def _same_frame(attended: NDArray[np.bool_]) -> BiasIndex:
    """Bias index of keys in the query's frame: distance 0, or masked."""
    return np.where(attended, np.int16(0), np.int16(MASKED))


def _round_up(length: int, most: int) -> int:
    """A multiple of 32 cache slots: attention over an odd number takes up to a tenth longer on CPUs."""
    return min(-(-length // 32) * 32, most)

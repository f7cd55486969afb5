"""Attention masks, time bias and position ids of training windows.

A window is  text | frame 1: visual tokens, action tokens | … | frame N | thought,  each segment padded to a fixed
length. Padding is masked and no loss counts it. The context of frame t is the visual tokens of frames t-T+1 … t-1, and
their action tokens unless actions are masked. A query attends to these keys:

- text: the text before it;
- visual tokens of a frame: the text, the context, and each other (they are never predicted, so attention within a frame
  is bidirectional; in OPT, which is causal throughout, only those before them);
- action tokens: the text, the context, their frame's visual tokens, and the action tokens before them;
- thought: the text, the context without its actions, the last frame's visual tokens, and the thought before it.
  Nothing else attends to a thought.

Compact models know time only as the distance in frames, a learned bias, so that a KV cache may slide by whole frames.
The paper's decoder has absolute position ids. There frame t takes block (t + offset) mod T, a ring buffer as in the KV
cache, and training draws the offset; so a cached frame never has to be computed again at another position.

In the shapes below B is windows, L tokens of a window, R packed rows of K tokens, G = N + 1 groups of tokens with the
same time (text, then the frames), T frames of the context.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from agent_core.model.batch import ACTION, TEXT, THOUGHT, VISUAL, Batch, Layout
from agent_core.model.packing import PackedRows


@dataclass(frozen=True)
class AttentionMasks:
    """Attention masks of a layout, and the time bias index of every pair of tokens."""

    without_actions: Tensor
    """(L, L) bool, query by key: True where the query attends to the key, actions of earlier frames masked."""
    with_actions: Tensor
    """(L, L) bool, the same with actions of earlier frames."""
    frame_of_slot: Tensor
    """(L,) group of each token: 0 is text, then come the frames."""
    bias_index: Tensor
    """(G, G) column of the time bias by query's and key's group."""


@lru_cache(maxsize=16)
def build_masks(
    layout: Layout, context_frames: int, device: torch.device, *, causal_visual: bool = False
) -> AttentionMasks:
    """Build the masks of a layout; cached per layout and device."""
    kind, frame, offset = _slot_table(layout)
    kind_q, kind_k = kind[:, None], kind[None]  # (L, 1) and (1, L)
    distance = frame[:, None] - frame[None]  # (L, L) in frames
    earlier = offset[None] <= offset[:, None]  # key not behind the query, within one segment
    in_context = (distance >= 0) & (distance < context_frames) & (kind_q != TEXT)
    same_frame = distance == 0
    text = (kind_k == TEXT) & ((kind_q != TEXT) | earlier)
    visual = (kind_k == VISUAL) & in_context
    if causal_visual:
        visual = visual & ~(same_frame & (kind_q == VISUAL) & ~earlier)
    action = (kind_k == ACTION) & (kind_q == ACTION) & same_frame & earlier
    past_action = (kind_k == ACTION) & in_context & ~same_frame & (kind_q != THOUGHT)
    thought = (kind_k == THOUGHT) & (kind_q == THOUGHT) & earlier
    without_actions = text | visual | action | thought
    return AttentionMasks(
        without_actions.to(device),
        (without_actions | past_action).to(device),
        (frame + 1).to(device),
        _bias_index(layout.num_frames, context_frames).to(device),
    )


def _bias_index(num_frames: int, context_frames: int) -> Tensor:
    """(G, G): distance in frames 0 … T-1, T for text seen from a frame, T + 1 for text seen from text.

    Pairs of frames outside the context get some entry too: they are masked.
    """
    index = torch.full([num_frames + 1] * 2, context_frames)
    index[0, 0] = context_frames + 1
    distance = torch.arange(num_frames)[:, None] - torch.arange(num_frames)
    index[1:, 1:] = distance.clamp(0, context_frames - 1)
    return index


def _slot_table(layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
    """Kind, frame (text: -1) and offset within its frame or text of every token: three (L,) tensors."""
    frame_kinds = [VISUAL] * layout.visual + [ACTION] * layout.action
    kind = [TEXT] * layout.text + frame_kinds * layout.num_frames + [THOUGHT] * layout.thought
    frame = [-1] * layout.text
    offset = list(range(layout.text))
    for t in range(layout.num_frames):
        frame += [t] * layout.frame_length
        offset += list(range(layout.frame_length))
    # a thought belongs to the last frame and follows its action tokens
    frame += [layout.num_frames - 1] * layout.thought
    offset += list(range(layout.frame_length, layout.frame_length + layout.thought))
    return torch.tensor(kind), torch.tensor(frame), torch.tensor(offset)


def position_ids(layout: Layout, play_layout: Layout, batch: Batch) -> Tensor:
    """(B, L) absolute position ids: text from 0, then a ring of T blocks.

    Segments are spaced as in the KV cache, `play_layout`, however short this batch's segments are. A thought has the
    position ids of its frame's action.
    """
    kind, frame, offset = (table.to(batch.frame_mask.device) for table in _slot_table(layout))
    in_frame = torch.where(kind == THOUGHT, offset - layout.action, offset)
    first = batch.frame_mask.int().argmax(1)  # (B,) first frame that is not padding
    block = (frame[None] + (batch.position_offset - first)[:, None]) % play_layout.num_frames
    in_block = play_layout.text + block * play_layout.frame_length + in_frame  # (B, L)
    return torch.where(kind == TEXT, offset, in_block)


def attention_bias(
    table: Tensor | None, masks: AttentionMasks, actions_masked: Tensor, rows: PackedRows
) -> Tensor:
    """Additive attention bias (R, heads or 1, K, K) of packed rows: the time bias, and -inf where masked.

    `table` (heads, T + 2) is the learned time bias, None in models with absolute positions. `actions_masked` (B,) bool
    masks the actions of earlier frames in some windows.
    """
    length, device = len(masks.with_actions), rows.gather_index.device
    mask = _packed_mask(masks, actions_masked, rows)  # (R, K, K)
    autocast = table is not None and torch.is_autocast_enabled(device.type)
    dtype = torch.get_autocast_dtype(device.type) if autocast else torch.float32
    bias = torch.zeros(mask.shape, dtype=dtype, device=device)
    bias = bias.masked_fill_(~mask, float("-inf"))[:, None]  # (R, 1, K, K)
    if table is None:
        return bias
    group = masks.frame_of_slot[rows.gather_index % length]  # (R, K)
    return _time_bias(table, masks.bias_index, group, dtype) + bias


def _packed_mask(masks: AttentionMasks, actions_masked: Tensor, rows: PackedRows) -> Tensor:
    """(R, K, K) bool mask of packed rows, cut from the windows' masks (L, L)."""
    length, device = len(masks.with_actions), rows.gather_index.device
    window, slot = rows.gather_index // length, rows.gather_index % length  # (R, K) each
    both = torch.stack([masks.with_actions, masks.without_actions])  # (2, L, L)
    by_query = both[actions_masked[window].long(), slot]  # (R, K, L)
    mask = by_query.gather(2, slot[:, None].expand(-1, slot.shape[1], -1))  # (R, K, K)
    # windows that share a row attend to their common instruction, not to each other; nothing attends to padding
    is_text = masks.frame_of_slot[slot] == 0
    source = torch.where(
        is_text[:, None, :], rows.text_window[window][:, :, None], window[:, :, None]
    )
    mask &= (source == window[:, None, :]) & rows.mask[:, None, :]
    # every token attends to itself: a softmax over masked keys alone would be NaN in rows of padding
    mask |= torch.eye(slot.shape[1], dtype=torch.bool, device=device)
    return mask


def _time_bias(table: Tensor, bias_index: Tensor, group: Tensor, dtype: torch.dtype) -> Tensor:
    """Learned bias (heads, T + 2) of every pair of tokens -> (R, heads, K, K); `group` (R, K) of each token.

    Two matrix products with one-hot groups, not `table[:, index]`: the gradient of a gather of this size is slow.
    """
    heads, groups = len(table), len(bias_index)
    one_hot = torch.eye(groups, dtype=dtype, device=group.device)[group]  # (R, K, G)
    by_group = table[:, bias_index].permute(1, 0, 2).flatten(1)  # (G, heads * G)
    by_query = (one_hot @ by_group).view(*group.shape, heads, groups)  # (R, K, heads, G)
    by_query = by_query.transpose(1, 2).flatten(1, 2)  # (R, heads * K, G)
    bias = by_query @ one_hot.transpose(1, 2)  # (R, heads * K, K)
    return bias.view(len(group), heads, group.shape[1], group.shape[1])

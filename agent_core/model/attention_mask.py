"""Attention masks and position ids of a window: where each token stands and which others it sees.

A window is  text | frame 1: visual tokens, action tokens | … | frame N | thought,  each segment in slots of fixed
length. Unused slots are padding: no token sees them and no loss counts them. Who sees whom:

- text sees the text before it;
- a frame's visual tokens see the text, each other (they are never predicted; in the paper's backbone, those before
  them) and the memory;
- action tokens see the text, their frame, the action tokens before them and the memory;
- the memory of frame t is the visual tokens of frames t-T+1 … t-1, and their actions where actions are shown;
- a thought sees text, memory and the last frame's picture, no actions; nothing sees a thought.

In compact models place in time enters only as the distance in frames (a learned bias), so a cache may slide by whole
frames. The paper's decoder has absolute places, every slot its own; there frame t stands in block (t + turn) mod T, a
ring as in play, and training draws the turn, so that no frame ever needs to be computed at another place.
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
    """Static attention structure of a layout: masks (L, L), query by key, and where the time bias stands."""

    without_actions: Tensor
    with_actions: Tensor
    frame_of_slot: Tensor
    """(L,) of each slot: 0 is text, then come the frames."""
    bias_index: Tensor
    """(G, G), query's group by key's: which entry of the bias table the pair takes."""


@lru_cache(maxsize=16)
def build_masks(
    layout: Layout, context_frames: int, device: torch.device, *, causal_pictures: bool = False
) -> AttentionMasks:
    """Build the masks of a layout once per device."""
    kind, frame, order = _slot_table(layout)
    q, k = slice(None), None
    kind_q, kind_k = kind[q, k], kind[k, q]
    frame_q, frame_k = frame[q, k], frame[k, q]
    earlier = order[k, q] <= order[q, k]
    distance = frame_q - frame_k
    in_memory = (distance >= 0) & (distance < context_frames) & (kind_q != TEXT)
    same = distance == 0
    sees_text = (kind_k == TEXT) & ((kind_q != TEXT) | earlier)
    sees_visual = (kind_k == VISUAL) & in_memory
    if causal_pictures:
        sees_visual = sees_visual & ~(same & (kind_q == VISUAL) & ~earlier)
    own_action = (kind_k == ACTION) & (kind_q == ACTION) & same & earlier
    past_action = (kind_k == ACTION) & in_memory & ~same & (kind_q != THOUGHT)
    own_thought = (kind_k == THOUGHT) & (kind_q == THOUGHT) & earlier
    without_actions = sees_text | sees_visual | own_action | own_thought
    with_actions = without_actions | past_action
    distance = torch.arange(layout.frames)[:, None] - torch.arange(layout.frames)
    bias_index = torch.full([layout.frames + 1] * 2, context_frames)
    bias_index[0, 0] = context_frames + 1
    bias_index[1:, 1:] = distance.clamp(0, context_frames - 1)
    return AttentionMasks(
        without_actions.to(device),
        with_actions.to(device),
        (frame + 1).to(device),
        bias_index.to(device),
    )


def _slot_table(layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
    """Kind, frame and order within its frame (or text) of every slot: three (L,) tensors."""
    block_kind = [VISUAL] * layout.visual + [ACTION] * layout.action
    kind = [TEXT] * layout.text + block_kind * layout.frames + [THOUGHT] * layout.thought
    frame = [-1] * layout.text
    order = list(range(layout.text))
    for t in range(layout.frames):
        frame += [t] * layout.frame_length
        order += list(range(layout.frame_length))
    frame += [layout.frames - 1] * layout.thought
    order += list(range(layout.frame_length, layout.frame_length + layout.thought))
    return torch.tensor(kind), torch.tensor(frame), torch.tensor(order)


def position_ids(layout: Layout, play_layout: Layout, batch: Batch) -> Tensor:
    """(B, L) absolute place of every slot: text from 0, then a ring of blocks.

    Segments are spaced by their slots in play, `in_play`, however few this batch needs. A thought stands where its
    frame's action would.
    """
    kind, frame, order = (table.to(batch.frame_mask.device) for table in _slot_table(layout))
    inside = torch.where(kind == THOUGHT, order - layout.action, order)
    first = batch.frame_mask.int().argmax(1)
    block = (frame[None] + (batch.position_offset - first)[:, None]) % play_layout.frames
    return torch.where(
        kind == TEXT, order, play_layout.text + block * play_layout.frame_length + inside
    )


def attention_bias(
    table: Tensor | None, masks: AttentionMasks, actions_masked: Tensor, rows: PackedRows
) -> Tensor:
    """Additive bias (R, heads or 1, K, K): the learned time bias where seen (0 where there is none), -inf elsewhere.

    `table` (heads, T + 2), `hidden` (B,) bool. Windows that share a row do not see each other. A token always sees
    itself, so that no row of padding is empty.
    """
    length, device = len(masks.with_actions), rows.gather_index.device
    window, slot = rows.gather_index // length, rows.gather_index % length
    of_query = torch.stack([masks.with_actions, masks.without_actions])[
        actions_masked[window].long(), slot
    ]  # (R, K, L)
    mask = of_query.gather(2, slot[:, None].expand(-1, slot.shape[1], -1))
    mask &= (window[:, :, None] == window[:, None, :]) & rows.mask[:, None, :]
    mask |= torch.eye(slot.shape[1], dtype=torch.bool, device=device)
    half = table is not None and torch.is_autocast_enabled(device.type)
    dtype = torch.get_autocast_dtype(device.type) if half else torch.float32
    unseen = torch.zeros(mask.shape, dtype=dtype, device=device)
    unseen = unseen.masked_fill_(~mask, float("-inf"))[:, None]
    if table is None:
        return unseen
    heads, groups = len(table), len(masks.bias_index)
    of_key = torch.eye(groups, dtype=dtype, device=device)[masks.frame_of_slot[slot]]  # (R, K, G)
    by_group = table[:, masks.bias_index].permute(1, 0, 2).flatten(1)  # (G, heads * G)
    by_query = (of_key @ by_group).view(*slot.shape, heads, groups).transpose(1, 2)
    relative = by_query.flatten(1, 2) @ of_key.transpose(1, 2)  # products: gathers learn slowly
    return relative.view(len(slot), heads, *mask.shape[1:]) + unseen

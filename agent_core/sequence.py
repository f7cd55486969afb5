"""Where does each token of a window stand, and which others may it see?

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


@dataclass(frozen=True)
class Sight:
    """Static attention structure of a layout: masks (L, L), query by key, and where the time bias stands."""

    hidden: Tensor
    shown: Tensor
    group: Tensor
    """(L,) of each slot: 0 is text, then come the frames."""
    column: Tensor
    """(G, G), query's group by key's: which entry of the bias table the pair takes."""


@lru_cache(maxsize=16)
def sight(
    layout: Layout, memory_frames: int, device: torch.device, *, causal_pictures: bool = False
) -> Sight:
    """Build the masks of a layout once per device."""
    kind, frame, order = _places(layout)
    q, k = slice(None), None
    kind_q, kind_k = kind[q, k], kind[k, q]
    frame_q, frame_k = frame[q, k], frame[k, q]
    earlier = order[k, q] <= order[q, k]
    distance = frame_q - frame_k
    in_memory = (distance >= 0) & (distance < memory_frames) & (kind_q != TEXT)
    same = distance == 0
    sees_text = (kind_k == TEXT) & ((kind_q != TEXT) | earlier)
    sees_visual = (kind_k == VISUAL) & in_memory
    if causal_pictures:
        sees_visual = sees_visual & ~(same & (kind_q == VISUAL) & ~earlier)
    own_action = (kind_k == ACTION) & (kind_q == ACTION) & same & earlier
    past_action = (kind_k == ACTION) & in_memory & ~same & (kind_q != THOUGHT)
    own_thought = (kind_k == THOUGHT) & (kind_q == THOUGHT) & earlier
    hidden = sees_text | sees_visual | own_action | own_thought
    shown = hidden | past_action
    distance = torch.arange(layout.frames)[:, None] - torch.arange(layout.frames)
    column = torch.full([layout.frames + 1] * 2, memory_frames)
    column[0, 0] = memory_frames + 1
    column[1:, 1:] = distance.clamp(0, memory_frames - 1)
    return Sight(hidden.to(device), shown.to(device), (frame + 1).to(device), column.to(device))


def _places(layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
    """Kind, frame and order within its frame (or text) of every slot: three (L,) tensors."""
    block_kind = [VISUAL] * layout.visual + [ACTION] * layout.action
    kind = [TEXT] * layout.text + block_kind * layout.frames + [THOUGHT] * layout.thought
    frame = [-1] * layout.text
    order = list(range(layout.text))
    for t in range(layout.frames):
        frame += [t] * layout.block
        order += list(range(layout.block))
    frame += [layout.frames - 1] * layout.thought
    order += list(range(layout.block, layout.block + layout.thought))
    return torch.tensor(kind), torch.tensor(frame), torch.tensor(order)


def places(layout: Layout, in_play: Layout, batch: Batch) -> Tensor:
    """(B, L) absolute place of every slot: text from 0, then a ring of blocks.

    Segments are spaced by their slots in play, `in_play`, however few this batch needs. A thought stands where its
    frame's action would.
    """
    kind, frame, order = (table.to(batch.present.device) for table in _places(layout))
    inside = torch.where(kind == THOUGHT, order - layout.action, order)
    first = batch.present.int().argmax(1)
    block = (frame[None] + (batch.turn - first)[:, None]) % in_play.frames
    return torch.where(kind == TEXT, order, in_play.text + block * in_play.block + inside)


@dataclass(frozen=True)
class Packed:
    """Which tokens stand in the decoder's rows: R rows of K instead of B windows of L slots."""

    slots: Tensor
    """(R, K) index of each token among the B * L slots; 0 where the row is not full."""
    there: Tensor
    """(R, K) bool: whether there is a token."""
    back: Tensor
    """(B, L) index of each slot's token among the R * K; of another token where a slot is padding."""


def packed(valid: Tensor) -> Packed:
    """Lay the tokens of windows, `valid` (B, L) bool, side by side into as few rows as the longest window allows.

    Windows stay whole: the longest first, each into the first row with room. K is a multiple of eight, as fast
    attention kernels want it.
    """
    lengths = valid.sum(1).tolist()
    row_length = max(lengths) + -max(lengths) % 8
    used: list[int] = []
    begin = [0] * len(lengths)
    for window in sorted(range(len(lengths)), key=lambda w: -lengths[w]):
        fits = (r for r, taken in enumerate(used) if taken + lengths[window] <= row_length)
        row = next(fits, len(used))
        if row == len(used):
            used.append(0)
        begin[window] = row * row_length + used[row]
        used[row] += lengths[window]
    first = torch.tensor(begin, device=valid.device)
    back = first[:, None] + (valid.cumsum(1) - 1).clamp(min=0)
    slots = back.new_zeros(len(used) * row_length)
    slots[back[valid]] = valid.flatten().nonzero()[:, 0]
    there = torch.zeros_like(slots, dtype=torch.bool)
    there[back[valid]] = True
    return Packed(slots.view(-1, row_length), there.view(-1, row_length), back)


def take(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index` (P, Q) of (M, N, …), counted through M and N -> (P, Q, …)."""
    return x.flatten(0, 1).index_select(0, index.flatten()).view(*index.shape, *x.shape[2:])


def attention_bias(table: Tensor | None, seen: Sight, hidden: Tensor, rows: Packed) -> Tensor:
    """Additive bias (R, heads or 1, K, K): the learned time bias where seen (0 where there is none), -inf elsewhere.

    `table` (heads, T + 2), `hidden` (B,) bool. Windows that share a row do not see each other. A token always sees
    itself, so that no row of padding is empty.
    """
    length, device = len(seen.shown), rows.slots.device
    window, slot = rows.slots // length, rows.slots % length
    of_query = torch.stack([seen.shown, seen.hidden])[hidden[window].long(), slot]  # (R, K, L)
    mask = of_query.gather(2, slot[:, None].expand(-1, slot.shape[1], -1))
    mask &= (window[:, :, None] == window[:, None, :]) & rows.there[:, None, :]
    mask |= torch.eye(slot.shape[1], dtype=torch.bool, device=device)
    half = table is not None and torch.is_autocast_enabled(device.type)
    dtype = torch.get_autocast_dtype(device.type) if half else torch.float32
    unseen = torch.zeros(mask.shape, dtype=dtype, device=device)
    unseen = unseen.masked_fill_(~mask, float("-inf"))[:, None]
    if table is None:
        return unseen
    heads, groups = len(table), len(seen.column)
    of_key = torch.eye(groups, dtype=dtype, device=device)[seen.group[slot]]  # (R, K, G)
    by_group = table[:, seen.column].permute(1, 0, 2).flatten(1)  # (G, heads * G)
    by_query = (of_key @ by_group).view(*slot.shape, heads, groups).transpose(1, 2)
    relative = by_query.flatten(1, 2) @ of_key.transpose(1, 2)  # products: gathers learn slowly
    return relative.view(len(slot), heads, *mask.shape[1:]) + unseen

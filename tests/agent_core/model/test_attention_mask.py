"""Tests of attention masks, time bias, packing and position ids of training windows."""

from __future__ import annotations

import pytest
import torch

from agent_core.model.attention_mask import attention_bias, build_masks, position_ids
from agent_core.model.batch import ACTION, TEXT, THOUGHT, VISUAL, Batch, Layout
from agent_core.model.packing import PackedRows, gather_rows, pack_sequences

LAYOUT = Layout(text=3, num_frames=4, visual=2, action=3, thought=2)
CONTEXT = 3
TOKENS = (
    [(TEXT, -1, k) for k in range(3)]
    + [
        (kind, t, k)
        for t in range(4)
        for k, kind in enumerate([VISUAL, VISUAL, ACTION, ACTION, ACTION])
    ]
    + [(THOUGHT, 3, k) for k in range(2)]
)


def unpacked(valid: torch.Tensor) -> PackedRows:
    """Every window in a row of its own, padding included."""
    every = torch.arange(valid.numel()).view(valid.shape)
    return PackedRows(every, valid, every, torch.arange(len(valid)), valid.shape[1])


def attends(query: tuple[int, int, int], key: tuple[int, int, int], with_actions: bool) -> bool:
    """The rules of the module's docstring, for one pair of tokens (kind, frame, offset)."""
    (kind_q, frame_q, offset_q), (kind_k, frame_k, offset_k) = query, key
    if kind_q == TEXT:
        return kind_k == TEXT and offset_k <= offset_q
    if kind_k == TEXT:
        return True
    in_context = 0 <= frame_q - frame_k < CONTEXT
    if kind_k == VISUAL:
        return in_context
    if kind_k == THOUGHT:
        return kind_q == THOUGHT and offset_k <= offset_q
    if frame_q == frame_k:
        return kind_q == ACTION and offset_k <= offset_q
    return with_actions and in_context and kind_q != THOUGHT


@pytest.mark.parametrize("with_actions", [False, True])
def test_every_pair_follows_the_rules(with_actions: bool) -> None:
    masks = build_masks(LAYOUT, CONTEXT, torch.device("cpu"))
    expected = torch.tensor([[attends(q, k, with_actions) for k in TOKENS] for q in TOKENS])
    assert torch.equal(masks.with_actions if with_actions else masks.without_actions, expected)


def test_time_enters_as_a_distance_in_frames_alone() -> None:
    table = torch.arange(2.0 * (CONTEXT + 2)).view(2, CONTEXT + 2)
    masks = build_masks(LAYOUT, CONTEXT, torch.device("cpu"))
    valid = torch.ones(1, LAYOUT.length, dtype=torch.bool)
    bias = attention_bias(table, masks, torch.tensor([False]), unpacked(valid))
    for row, (kind_q, frame_q, _) in enumerate(TOKENS):
        for column, (kind_k, frame_k, _) in enumerate(TOKENS):
            if torch.isinf(bias[0, 0, row, column]):
                continue
            entry = frame_q - frame_k
            if kind_k == TEXT:
                entry = CONTEXT + int(kind_q == TEXT)
            assert bias[0, :, row, column].tolist() == table[:, entry].tolist()


def test_padding_is_seen_by_itself_alone() -> None:
    masks = build_masks(LAYOUT, CONTEXT, torch.device("cpu"))
    valid = torch.ones(2, LAYOUT.length, dtype=torch.bool)
    valid[:, [2, 7, 20]] = False
    actions_masked = torch.tensor([True, False])
    bias = attention_bias(torch.zeros(2, CONTEXT + 2), masks, actions_masked, unpacked(valid))
    assert not torch.isnan(bias.softmax(-1)).any()
    for padded in (2, 7, 20):
        column = torch.isfinite(bias[:, 0, :, padded])
        assert column.sum(1).tolist() == [1, 1]
        assert column[:, padded].all()


def test_short_windows_share_a_row() -> None:
    valid = torch.zeros(4, 80, dtype=torch.bool)
    valid[0, :6], valid[1, ::4], valid[2, 5:36], valid[3, 60:79] = True, True, True, True
    predicting = torch.zeros_like(valid)
    predicting[0, 4:6], predicting[2, 20:23] = True, True
    texts = torch.arange(4)[:, None]  # of one token each, all different
    rows = pack_sequences(valid, predicting, texts)  # 6, 20, 31 and 19 tokens
    assert rows.gather_index.shape == (3, 32)
    assert rows.mask.sum(1).tolist() == [31, 26, 19]
    assert rows.last_n == 8
    assert rows.gather_index[1, -2:].tolist() == [4, 5]
    assert rows.gather_index[1, :4].tolist() == [0, 1, 2, 3]
    x = torch.randn(4, 80, 5)
    packed = gather_rows(x, rows.gather_index)
    back = gather_rows(packed[:, -rows.last_n :], rows.scatter_index)
    assert torch.equal(back[predicting], x[predicting])
    assert torch.equal(back[0, 6:9], x[0, 5].expand(3, -1))  # behind: the last that predicts


def test_a_row_holds_an_instruction_once() -> None:
    valid = torch.ones(5, 12, dtype=torch.bool)
    texts = torch.tensor([[7] * 6, [8] * 6, [7] * 6, [7] * 6, [7] * 6])
    rows = pack_sequences(valid, valid, texts)  # 12 + 3 x 6 tokens, and 12
    assert rows.mask.sum(1).tolist() == [30, 12]
    assert rows.text_window.tolist() == [0, 1, 0, 0, 0]
    x = torch.randn(5, 12, 5)
    x[[2, 3, 4], :6] = x[0, :6]
    packed = gather_rows(x, rows.gather_index)[:, -rows.last_n :]
    assert torch.equal(gather_rows(packed, rows.scatter_index), x)


def test_windows_of_a_row_do_not_see_each_other() -> None:
    table = torch.randn(2, CONTEXT + 2)
    masks = build_masks(LAYOUT, CONTEXT, torch.device("cpu"))
    valid = torch.rand(9, LAYOUT.length, generator=torch.Generator().manual_seed(0)) < 0.3
    valid[:, :3] = torch.tensor([True, True, False])
    texts = torch.tensor([[1, 2, 0], [1, 2, 0], [1, 3, 0]]).repeat(3, 1)
    rows, actions_masked = pack_sequences(valid, valid, texts), torch.arange(9) % 2 == 0
    assert len(rows.gather_index) < 9
    assert any(rows.text_window != torch.arange(9))
    alone = attention_bias(table, masks, actions_masked, unpacked(valid))
    together = attention_bias(table, masks, actions_masked, rows)
    for index, valid_row, bias in zip(rows.gather_index, rows.mask, together, strict=True):
        window, slot = index[valid_row] // LAYOUT.length, index[valid_row] % LAYOUT.length
        is_shared = (slot < 3) & (rows.text_window[window][:, None] == window[None])
        others = (window[:, None] != window[None]) & ~is_shared
        expected = alone.transpose(0, 1)[:, window[:, None], slot[:, None], slot[None]]
        expected = expected.masked_fill(others, float("-inf"))
        assert torch.equal(bias[:, valid_row][:, :, valid_row], expected)


def test_absolute_places_are_a_ring_of_blocks() -> None:
    unused = torch.zeros(2)
    present = torch.tensor([[False, True, True, True], [True] * 4])
    batch = Batch(unused, present, unused, unused, unused, unused, unused, torch.tensor([0, 2]))
    play_layout = Layout(text=8, num_frames=CONTEXT, visual=2, action=4, thought=0)
    ids = position_ids(LAYOUT, play_layout, batch)
    assert ids[:, :3].tolist() == [[0, 1, 2]] * 2
    begins = ids[:, 3:23:5]  # of the four frames
    assert begins.tolist() == [[8 + 6 * b for b in (2, 0, 1, 2)], [8 + 6 * b for b in (2, 0, 1, 2)]]
    assert ids[:, 3:8].tolist() == [[20, 21, 22, 23, 24]] * 2
    assert ids[:, 23:].tolist() == [[22, 23]] * 2  # where the last frame's action would stand

"""Is the network causal, small enough to ship, and open to more visual tokens?"""

from __future__ import annotations

import pytest
import torch

from agent_core.config import ModelConfig
from agent_core.model import IAFM
from agent_core.model.batch import Batch
from agent_core.model.block import attention
from agent_core.model.conv_stem import VisionTower, color_jitter, normalize_pixels

CONFIG = ModelConfig(
    width=32,
    layers=2,
    heads=4,
    stem_widths=(8, 8, 16),
    frame_height=24,
    frame_width=32,
    pooled_grid=(3, 4),
    context_frames=2,
)
PAPER = ModelConfig(
    backbone="paper",
    width=32,
    layers=2,
    heads=4,
    frame_height=24,
    frame_width=32,
    patch=8,
    pooled_grid=(3, 4),
    global_token=True,
    temporal_attention=True,
    context_frames=4,
    positions=256,
    max_thought_tokens=8,
)


def model_and_batch(hidden: bool, config: ModelConfig = CONFIG) -> tuple[IAFM, Batch]:
    torch.manual_seed(0)
    model = IAFM(config, 320).eval()
    for name, weight in model.named_parameters():
        if ".time." in name:  # begins at zero
            torch.nn.init.normal_(weight, std=0.3)
    actions = torch.randint(300, 320, (2, 4, 3))
    batch = Batch(
        torch.randint(0, 255, (2, 4, 24, 32, 3), dtype=torch.uint8),
        torch.ones(2, 4, dtype=torch.bool),
        torch.randint(6, 300, (2, 5)),
        actions,
        torch.ones(2, 4, dtype=torch.bool),
        torch.randint(6, 300, (2, 4)),
        torch.tensor([hidden, hidden]),
        torch.zeros(2, dtype=torch.long),
    )
    return model, batch


@torch.no_grad()
@pytest.mark.parametrize("config", [CONFIG, PAPER])
@pytest.mark.parametrize("hidden", [True, False])
def test_the_past_alone_decides(hidden: bool, config: ModelConfig) -> None:
    model, batch = model_and_batch(hidden, config)
    before = model(batch)
    batch.actions[:, 2, 1] = 305 - batch.actions[:, 2, 1] + 305
    batch.frames[:, 3] = 255 - batch.frames[:, 3]
    batch.thought_ids[:, 2] = 7
    after = model(batch)
    torch.testing.assert_close(after.text, before.text)
    torch.testing.assert_close(after.actions[:, :2], before.actions[:, :2])
    torch.testing.assert_close(after.actions[:, 2, :1], before.actions[:, 2, :1])
    assert not torch.allclose(after.actions[:, 2, 1], before.actions[:, 2, 1])
    assert not torch.allclose(after.actions[:, 3], before.actions[:, 3])
    torch.testing.assert_close(after.patches[:, :3], before.patches[:, :3])


@torch.no_grad()
def test_hidden_actions_and_thoughts_change_no_later_action() -> None:
    model, batch = model_and_batch(True)
    before = model(batch)
    batch.actions[:, :3, 1] = 301
    batch.thought_ids[:] = 9
    after = model(batch)
    torch.testing.assert_close(after.actions[:, 3], before.actions[:, 3])
    shown, batch = model_and_batch(False)
    before = shown(batch)
    batch.actions[:, 2, 1] = (batch.actions[:, 2, 1] - 299) % 20 + 300
    assert not torch.allclose(shown(batch).actions[:, 3], before.actions[:, 3])


@torch.no_grad()
def test_frames_beyond_the_memory_of_all_layers_are_forgotten() -> None:
    model, batch = model_and_batch(True)
    before = model(batch).actions[:, 3]
    batch.frames[:, 0] = 255 - batch.frames[:, 0]  # two layers, memory of two frames: 1 … 3 reach
    torch.testing.assert_close(model(batch).actions[:, 3], before)
    batch.frames[:, 1] = 255 - batch.frames[:, 1]
    assert not torch.allclose(model(batch).actions[:, 3], before)


@torch.no_grad()
def test_a_window_may_begin_at_any_time() -> None:
    model, batch = model_and_batch(True)
    whole = model(batch).actions[:, 3]
    later = Batch(
        batch.frames[:, 1:],
        batch.frame_mask[:, 1:],
        batch.instruction_ids,
        batch.actions[:, 1:],
        batch.loss_mask[:, 1:],
        batch.thought_ids,
        batch.actions_masked,
        batch.position_offset,
    )
    torch.testing.assert_close(model(later).actions[:, 2], whole)


def test_tiny_fits_in_ten_megabytes_at_half_precision() -> None:
    size = sum(weight.numel() for weight in IAFM(ModelConfig(), 600).parameters())
    assert 2 * size < 10_000_000


def test_attention_under_a_bias_that_learns_is_attention() -> None:
    torch.manual_seed(0)
    mask = torch.eye(5).bool() | (torch.rand(2, 1, 5, 5) < 0.5)
    bias = torch.randn(2, 3, 5, 5).masked_fill(~mask, float("-inf"))
    parts = [torch.randn(2, 3, 5, 4) for _ in range(3)]

    def found(learns: bool) -> list[torch.Tensor]:
        q, k, v = (part.clone().requires_grad_() for part in parts)
        seen = attention(q, k, v, bias.clone().requires_grad_(learns))
        return [seen, *torch.autograd.grad(seen.square().sum(), (q, k, v))]

    for plain, fused in zip(found(True), found(False), strict=True):
        torch.testing.assert_close(plain, fused)


@torch.no_grad()
def test_pictures_that_are_absent_change_no_other() -> None:
    torch.manual_seed(0)
    tower, pictures = VisionTower(CONFIG), torch.rand(40, 3, 24, 32)
    hidden, present = torch.rand(20, 12) < 0.5, torch.rand(10, 4) < 0.5
    whole = tower(pictures, hidden).tokens
    some = tower(pictures, hidden, present).tokens
    torch.testing.assert_close(some[present.flatten()], whole[present.flatten()])


@pytest.mark.parametrize("strides", [(4, 2, 1), (8, 1, 1), (2, 1, 4)])
def test_any_strides_lead_to_the_same_grid(strides: tuple[int, int, int]) -> None:
    tower = VisionTower(
        ModelConfig.model_validate({**CONFIG.model_dump(), "stem_strides": strides})
    )
    assert tower(torch.rand(2, 3, 24, 32)).tokens.shape == (2, 12, 32)


@torch.no_grad()
def test_a_glance_is_one_more_token() -> None:
    config = ModelConfig.model_validate({**CONFIG.model_dump(), "global_token": True})
    model, batch = model_and_batch(True, config)
    assert model(batch).visual_tokens == config.visual_tokens == 13


@torch.no_grad()
@pytest.mark.parametrize("config", [CONFIG, PAPER])
def test_what_is_hidden_changes_no_action(config: ModelConfig) -> None:
    model, batch = model_and_batch(True, config)
    pictures = normalize_pixels(batch.frames)
    hidden = torch.ones(4, 12, dtype=torch.bool)  # the four frames of the first window
    hidden[:, 0] = False
    before = model(batch, pictures, hidden)
    pictures[:4, :, 8:] *= -1  # all rows of patches below the first
    after = model(batch, pictures, hidden)
    torch.testing.assert_close(after.actions, before.actions)
    pictures[:4, :, :8, :8] *= -1  # the one that is seen
    assert not torch.allclose(model(batch, pictures, hidden).actions[0], before.actions[0])


def test_jitter_by_one_changes_nothing_and_never_leaves_the_range() -> None:
    pictures = torch.rand(3, 3, 8, 8) * 2 - 1
    one, none = torch.ones(3), torch.zeros(3)
    torch.testing.assert_close(color_jitter(pictures, one, one), pictures)
    torch.testing.assert_close(color_jitter(pictures, one, one, none), pictures)
    assert color_jitter(pictures, 1.4 * one, 1.4 * one, 0.05 * one).abs().max() <= 1
    grey = color_jitter(pictures, one, none)
    torch.testing.assert_close(grey[:, 0], grey[:, 2])


def test_a_third_of_a_circle_turns_red_to_green() -> None:
    red = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1)
    third, one = torch.tensor([1 / 3]), torch.ones(1)
    green = color_jitter(red, one, one, third)
    torch.testing.assert_close(green.flatten(), torch.tensor([-1.0, 1, -1]))
    torch.testing.assert_close(color_jitter(green, one, one, 2 * third), red)
    grey = torch.full((1, 3, 2, 2), 0.3)
    torch.testing.assert_close(color_jitter(grey, one, one, torch.tensor([0.05])), grey)

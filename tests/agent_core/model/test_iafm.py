"""Tests of the model: causality, masked patches, size, vision tower and color jitter."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from agent_core.config import LossConfig, ModelConfig
from agent_core.model import IAFM
from agent_core.model.batch import Batch
from agent_core.model.block import attention
from agent_core.model.conv_stem import (
    PatchConvolution,
    VisionTower,
    color_jitter,
    normalize_pixels,
)
from agent_core.model.mae import CompactMaeDecoder, patchify
from agent_core.model.text_conditioning import condition
from agent_core.training.loss import count_tokens, losses

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
PLAIN = ModelConfig.model_validate({**CONFIG.model_dump(), "text_conditioning": False})
PAPER = ModelConfig(
    backbone="paper",
    text_conditioning=False,
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


def model_and_batch(actions_masked: bool, config: ModelConfig = CONFIG) -> tuple[IAFM, Batch]:
    torch.manual_seed(0)
    model = IAFM(config, 320).eval()
    for name, weight in model.named_parameters():
        if ".time." in name:  # temporal attention is initialized to zero
            torch.nn.init.normal_(weight, std=0.3)
    actions = torch.randint(300, 320, (2, 4, 3))
    batch = Batch(
        torch.randint(0, 255, (2, 4, 24, 32, 3), dtype=torch.uint8),
        torch.ones(2, 4, dtype=torch.bool),
        torch.randint(6, 300, (2, 5)),
        actions,
        torch.ones(2, 4, dtype=torch.bool),
        torch.randint(6, 300, (2, 4)),
        torch.tensor([actions_masked, actions_masked]),
        torch.zeros(2, dtype=torch.long),
    )
    return model, batch


@torch.no_grad()
@pytest.mark.parametrize("config", [CONFIG, PLAIN, PAPER])
@pytest.mark.parametrize("actions_masked", [True, False])
def test_the_past_alone_decides(actions_masked: bool, config: ModelConfig) -> None:
    model, batch = model_and_batch(actions_masked, config)
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
    model, batch = model_and_batch(False)
    before = model(batch)
    batch.actions[:, 2, 1] = (batch.actions[:, 2, 1] - 299) % 20 + 300
    assert not torch.allclose(model(batch).actions[:, 3], before.actions[:, 3])


@torch.no_grad()
def test_frames_beyond_the_memory_of_all_layers_are_forgotten() -> None:
    model, batch = model_and_batch(True)
    before = model(batch).actions[:, 3]
    # two layers with a context of two frames: frames 1 … 3 reach the last one
    batch.frames[:, 0] = 255 - batch.frames[:, 0]
    torch.testing.assert_close(model(batch).actions[:, 3], before)
    batch.frames[:, 1] = 255 - batch.frames[:, 1]
    assert not torch.allclose(model(batch).actions[:, 3], before)


@torch.no_grad()
def test_a_window_may_begin_at_any_time() -> None:
    model, batch = model_and_batch(True)
    expected = model(batch).actions[:, 3]
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
    torch.testing.assert_close(model(later).actions[:, 2], expected)


@pytest.mark.parametrize("config", [CONFIG, PAPER])
def test_windows_packed_together_have_the_gradients_of_each_alone(config: ModelConfig) -> None:
    """Rows share their windows' instruction, and only what a loss needs is computed."""
    model, batch = model_and_batch(True, config)
    index = torch.tensor([0, 1, 0, 1, 0])  # with instructions in common
    batch = Batch(*(getattr(batch, field.name)[index] for field in fields(Batch)))
    batch.frames = torch.randint_like(batch.frames, 255)
    batch.actions_masked = torch.tensor([True, True, False, False, True])
    batch.frame_mask[2:4, :2] = False
    batch.frame_mask[4, :3] = False
    batch.instruction_ids[1, 3:] = 0
    counts = count_tokens(batch, config.visual_tokens)

    def gradients(rows: list[slice]) -> list[torch.Tensor]:
        model.zero_grad()
        for row in rows:
            part = Batch(*(getattr(batch, field.name)[row] for field in fields(Batch)))
            loss = losses(model, part, model(part), LossConfig(), counts=counts).total
            torch.autograd.backward(loss)
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    together = gradients([slice(None)])
    for packed, alone in zip(together, gradients([slice(k, k + 1) for k in range(5)]), strict=True):
        torch.testing.assert_close(packed, alone, atol=2e-6, rtol=1e-4)


def test_tiny_fits_in_ten_megabytes_at_half_precision() -> None:
    size = sum(weight.numel() for weight in IAFM(ModelConfig(), 600).parameters())
    assert 2 * size < 10_000_000


def test_attention_under_a_bias_that_learns_is_attention() -> None:
    torch.manual_seed(0)
    mask = torch.eye(5).bool() | (torch.rand(2, 1, 5, 5) < 0.5)
    bias = torch.randn(2, 3, 5, 5).masked_fill(~mask, float("-inf"))
    qkv = [torch.randn(2, 3, 5, 4) for _ in range(3)]

    def output_and_gradients(bias_learns: bool) -> list[torch.Tensor]:
        q, k, v = (x.clone().requires_grad_() for x in qkv)
        out = attention(q, k, v, bias.clone().requires_grad_(bias_learns))
        return [out, *torch.autograd.grad(out.square().sum(), (q, k, v))]

    results = zip(output_and_gradients(True), output_and_gradients(False), strict=True)
    for plain, fused in results:
        torch.testing.assert_close(plain, fused)


@torch.no_grad()
def test_pictures_that_are_absent_change_no_other() -> None:
    torch.manual_seed(0)
    tower, pixels = VisionTower(CONFIG), torch.rand(40, 3, 24, 32)
    patch_mask, frame_mask = torch.rand(20, 12) < 0.5, torch.rand(10, 4) < 0.5
    for conditioning in (None, torch.randn(40, 8)):
        expected = tower(pixels, patch_mask, conditioning=conditioning).tokens
        tokens = tower(pixels, patch_mask, frame_mask, conditioning).tokens
        torch.testing.assert_close(tokens[frame_mask.flatten()], expected[frame_mask.flatten()])


def test_a_patch_convolution_is_a_convolution() -> None:
    torch.manual_seed(0)
    layer, x = PatchConvolution(5, 6, (3, 4), (3, 4)), torch.randn(2, 5, 9, 8, requires_grad=True)
    expected = torch.nn.functional.conv2d(x, layer.weight, layer.bias, (3, 4))
    weights = (x, *layer.parameters())
    torch.testing.assert_close(layer(x), expected)
    gradients = torch.autograd.grad(layer(x).square().sum(), weights)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected.square().sum(), weights))


def test_targets_of_masked_patches_are_means_of_four_pixels() -> None:
    pixels = torch.rand(2, 3, 24, 32)
    expected = patchify(torch.nn.functional.avg_pool2d(pixels, 2), (3, 4))
    torch.testing.assert_close(CompactMaeDecoder(CONFIG).targets(pixels), expected)


@pytest.mark.parametrize("strides", [(4, 2, 1), (8, 1, 1), (2, 1, 4)])
def test_any_strides_lead_to_the_same_grid(strides: tuple[int, int, int]) -> None:
    tower = VisionTower(ModelConfig.model_validate({**PLAIN.model_dump(), "stem_strides": strides}))
    assert tower(torch.rand(2, 3, 24, 32)).tokens.shape == (2, 12, 32)


@torch.no_grad()
def test_a_glance_is_one_more_token() -> None:
    config = ModelConfig.model_validate({**CONFIG.model_dump(), "global_token": True})
    model, batch = model_and_batch(True, config)
    assert model(batch).visual_tokens == config.visual_tokens == 13


@torch.no_grad()
def test_the_only_cell_is_the_global_token() -> None:
    changes = {"pooled_grid": (1, 1), "global_token": True}
    config = ModelConfig.model_validate({**CONFIG.model_dump(), **changes})
    model, batch = model_and_batch(True, config)
    assert model(batch).visual_tokens == config.visual_tokens == 1
    tokens = model.encode_frame(batch.frames[:, 0])
    torch.testing.assert_close(model.global_token(tokens), tokens[:, 0])


@torch.no_grad()
@pytest.mark.parametrize("config", [CONFIG, PLAIN, PAPER])
def test_what_is_hidden_changes_no_action(config: ModelConfig) -> None:
    model, batch = model_and_batch(True, config)
    pixels = normalize_pixels(batch.frames)
    patch_mask = torch.ones(4, 12, dtype=torch.bool)  # the four frames of the first window
    patch_mask[:, 0] = False
    before = model(batch, pixels, patch_mask)
    pixels[:4, :, 8:] *= -1  # all rows of patches below the first
    after = model(batch, pixels, patch_mask)
    torch.testing.assert_close(after.actions, before.actions)
    pixels[:4, :, :8, :8] *= -1  # the one that is not masked
    assert not torch.allclose(model(batch, pixels, patch_mask).actions[0], before.actions[0])


@torch.no_grad()
def test_words_reach_every_picture_and_their_order_counts() -> None:
    model, batch = model_and_batch(True, CONFIG)
    before = model(batch).patches
    batch.instruction_ids[0] = batch.instruction_ids[0].flip(0)
    after = model(batch).patches
    assert (after[0] - before[0]).abs().amax((1, 2)).min() > 1e-3
    torch.testing.assert_close(after[1], before[1])


@torch.no_grad()
def test_padding_of_words_changes_nothing() -> None:
    model, batch = model_and_batch(True, CONFIG)
    batch.instruction_ids[0, 2:] = 0
    short = model.condition_on_text(batch.instruction_ids[:1, :2])
    long = torch.nn.functional.pad(batch.instruction_ids, (0, 7))
    torch.testing.assert_close(model.condition_on_text(long)[:1], short)
    torch.testing.assert_close(
        model.condition_on_text(long[1:, :5])[0], model.condition_on_text(long)[1]
    )
    silent = model.condition_on_text(torch.zeros(2, 3, dtype=torch.long))
    torch.testing.assert_close(silent[0], silent[1])
    torch.testing.assert_close(
        model.condition_on_text(torch.zeros(1, 9, dtype=torch.long)), silent[:1]
    )


@torch.no_grad()
def test_disabled_text_conditioning_changes_nothing() -> None:
    model, batch = model_and_batch(True, PLAIN)
    conditioned = IAFM(CONFIG, 320).eval()
    assert conditioned.text_conditioning is not None
    conditioned.text_conditioning.disable()
    conditioned.load_state_dict({**conditioned.state_dict(), **model.state_dict()})
    torch.testing.assert_close(conditioned(batch).actions, model(batch).actions)


def test_a_feature_map_is_shifted_by_channel() -> None:
    x, shift = torch.randn(2, 3, 4, 5), torch.randn(2, 3)
    torch.testing.assert_close(condition(x, shift), x + shift[:, :, None, None])


def test_jitter_by_one_changes_nothing_and_never_leaves_the_range() -> None:
    pixels = torch.rand(3, 3, 8, 8) * 2 - 1
    one, none = torch.ones(3), torch.zeros(3)
    torch.testing.assert_close(color_jitter(pixels, one, one), pixels)
    torch.testing.assert_close(color_jitter(pixels, one, one, none), pixels)
    assert color_jitter(pixels, 1.4 * one, 1.4 * one, 0.05 * one).abs().max() <= 1
    grey = color_jitter(pixels, one, none)
    torch.testing.assert_close(grey[:, 0], grey[:, 2])


def test_a_third_of_a_circle_turns_red_to_green() -> None:
    red = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1)
    third, one = torch.tensor([1 / 3]), torch.ones(1)
    green = color_jitter(red, one, one, third)
    torch.testing.assert_close(green.flatten(), torch.tensor([-1.0, 1, -1]))
    torch.testing.assert_close(color_jitter(green, one, one, 2 * third), red)
    grey = torch.full((1, 3, 2, 2), 0.3)
    torch.testing.assert_close(color_jitter(grey, one, one, torch.tensor([0.05])), grey)

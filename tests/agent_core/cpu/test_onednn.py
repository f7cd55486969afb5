"""oneDNN layers beside the plain ones."""

from __future__ import annotations

import copy

import pytest
import torch

from agent_core.config import ModelConfig
from agent_core.cpu.capability import detect
from agent_core.cpu.onednn import PackedConvolution, prepack, prepack_convolutions
from agent_core.model.block import Block
from agent_core.model.conv_stem import VisionTower, normalize_pixels

pytestmark = pytest.mark.processor


@pytest.mark.skipif(
    not detect().support("bfloat16"), reason="this processor or torch multiplies no bfloat16"
)
@torch.inference_mode()
@pytest.mark.parametrize("activation", ["relu", "gelu", "quick_gelu"])
def test_a_packed_layer_is_the_layer_up_to_rounding(activation: str) -> None:
    torch.manual_seed(0)
    layer = Block(64, 4, activation)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    x = torch.randn(2, 9, 64)
    expected = layer(x)
    plain = copy.deepcopy(layer).to(torch.bfloat16)
    packed = copy.deepcopy(plain)
    prepack(packed)
    scale = float(expected.std())
    error = float((packed(x.bfloat16()).float() - expected).abs().max()) / scale
    of_plain = float((plain(x.bfloat16()).float() - expected).abs().max()) / scale
    assert error < max(2 * of_plain, 0.02)
    assert not list(packed.mlp_out.parameters())


@torch.inference_mode()
@pytest.mark.skipif(not detect().has_onednn, reason="this torch has no oneDNN")
@pytest.mark.parametrize("global_token", [False, True])
def test_packed_convolutions_see_the_same_in_one_picture_and_in_many(global_token: bool) -> None:
    torch.manual_seed(0)
    tower = VisionTower(ModelConfig(global_token=global_token, stem_blocks=(1, 0, 1)))
    for weight in tower.parameters():
        if weight.ndim < 2 or not weight.any():  # those that begin at zero
            torch.nn.init.normal_(weight, 0.5, 0.2)
    frames = normalize_pixels(torch.randint(0, 255, (5, 72, 128, 3), dtype=torch.uint8))
    text = torch.randn(5, 64)  # of the second stage
    expected = tower(frames).tokens, tower(frames, conditioning=text).tokens
    packed = copy.deepcopy(tower)
    prepack_convolutions(packed, frames[:1])
    assert sum(isinstance(part, PackedConvolution) for part in packed.modules()) == 8
    for count in (1, 5):
        few = frames[:count]
        actual = packed(few).tokens, packed(few, conditioning=text[:count]).tokens
        for tokens, wanted in zip(actual, expected, strict=True):
            torch.testing.assert_close(tokens, wanted[:count], atol=1e-4, rtol=1e-4)

"""Quantization to int8, by oneDNN where this processor has VNNI and by FBGEMM wherever it has AVX2."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from agent_core.bench.infer import INSTRUCTION, expert_trace
from agent_core.cpu.capability import Precision, Processor, detect, support
from agent_core.cpu.int8 import (
    Calibrator,
    DynamicInt8Linear,
    Int8Linear,
    quantize,
    quantize_dynamically,
)
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.session import ActionTokens
from agent_core.model.block import Block
from agent_core.tokens.action_codec import ActionCodec
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, load
from games.voxel import SPEC

pytestmark = pytest.mark.processor
HERE = detect()
WITHOUT_VNNI = replace(HERE, vectors="AVX2", has_vnni=False)
"""As this processor would be without VNNI: what oneDNN computes on it, FBGEMM does there."""
needs_vnni = pytest.mark.skipif(
    "onednn" not in HERE.support("int8").backends, reason="this processor or torch has no VNNI"
)
needs_fbgemm = pytest.mark.skipif(
    not HERE.can_use_fbgemm, reason="this torch or processor has no FBGEMM"
)


@needs_vnni
@torch.inference_mode()
@pytest.mark.parametrize("activation", ["relu", "gelu", "quick_gelu"])
def test_a_layer_in_whole_numbers_is_the_layer_up_to_rounding(activation: str) -> None:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(*(Block(64, 4, activation) for _ in range(3)))
    for weight in layers.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    x = torch.randn(4, 9, 64)
    expected = layers(x)
    whole = copy.deepcopy(layers).to(torch.bfloat16)
    calibrator = Calibrator(whole)
    whole(x.bfloat16())
    quantize(whole, calibrator)
    error = (whole(x.bfloat16()).float() - expected).std() / expected.std()
    assert 0.001 < error < 0.04
    assert isinstance(whole[0].mlp_out, Int8Linear)
    far = whole(
        10 * x.bfloat16()
    )  # beyond what was seen: at the end of the range, no wrapping round
    assert (far.float() - layers(10 * x)).std() / layers(10 * x).std() < 0.5


@needs_vnni
@torch.inference_mode()
def test_one_channel_that_reaches_far_does_not_drown_the_others() -> None:
    torch.manual_seed(0)
    layer = Block(64, 4, "relu")
    layer.attention_norm.weight[3] *= 200
    layer.qkv.weight[:, 3] /= 200
    x = torch.randn(4, 30, 64)
    expected = layer.qkv(layer.attention_norm(x))
    calibrator = Calibrator(layer)
    layer(x)
    quantize(layer, calibrator)
    error = (layer.qkv(layer.attention_norm(x)).float() - expected).std() / expected.std()
    assert error < 0.03


@needs_fbgemm
@torch.inference_mode()
@pytest.mark.parametrize("activation", ["relu", "gelu", "quick_gelu"])
def test_a_layer_scaled_at_every_call_is_the_layer_up_to_rounding(activation: str) -> None:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(*(Block(64, 4, activation) for _ in range(3)))
    for weight in layers.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    whole = copy.deepcopy(layers)
    quantize_dynamically(whole)
    assert isinstance(whole[0].attention_out, DynamicInt8Linear)
    for size in (1, 10):  # nothing was calibrated: larger inputs lose no more than small ones
        x = size * torch.randn(4, 9, 64)
        expected = layers(x)
        error = (whole(x) - expected).std() / expected.std()
        assert 1e-5 < error < 0.04  # of what was added to x, which itself is not rounded


@needs_fbgemm
@torch.inference_mode()
def test_the_largest_products_do_not_overflow_without_vnni() -> None:
    """Two products of the largest inputs and weights are added up in 16 bits there."""
    layer = torch.nn.Linear(64, 32)
    torch.nn.init.constant_(layer.weight, 0.5)
    x = torch.ones(3, 64)
    expected = layer(x)
    torch.testing.assert_close(DynamicInt8Linear(layer)(x), expected, atol=0.01, rtol=0.01)


@pytest.mark.parametrize(
    "processor",
    [pytest.param(HERE, marks=needs_vnni), pytest.param(WITHOUT_VNNI, marks=needs_fbgemm)],
    ids=["onednn", "fbgemm"],
)
def test_the_shipped_checkpoint_does_the_same_in_whole_numbers(processor: Processor) -> None:
    assert support("int8", torch.device("cpu"), processor).is_faster
    bodies = {precision: _played(precision, processor) for precision in ("float32", "int8")}
    pairs = list(zip(bodies["float32"], bodies["int8"], strict=True))
    assert sum(a == b for a, b in pairs) / len(pairs) > 0.85
    assert len(set(bodies["float32"])) > 5


def _played(precision: Precision, processor: Processor) -> list[ActionTokens]:
    """Greedy actions of the frames after the first 16, which whole numbers are made for."""
    checkpoint = load(DEFAULT_CHECKPOINT)
    engine = Engine(checkpoint, EngineOptions(temperature=0, precision=precision), processor)
    session = engine.open(ActionCodec(SPEC, checkpoint.vocabulary), 0)
    choices = [engine.act([session], [frame], [INSTRUCTION])[0] for frame in expert_trace().frames]
    return [choice.tokens for choice in choices[16:]]

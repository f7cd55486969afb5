"""Do matrices of whole numbers compute what the model learned?"""

from __future__ import annotations

import copy

import pytest
import torch

from agent_core.bench.infer import INSTRUCTION, expert_trace
from agent_core.cpu.inference_model import Precision
from agent_core.cpu.int8 import Int8Linear, Watch, can_quantise, quantise
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.session import ActionTokens
from agent_core.model.block import Block
from agent_core.tokens.action_codec import ActionCodec
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, load
from games.voxel import SPEC

pytestmark = pytest.mark.skipif(
    not can_quantise(torch.device("cpu")), reason="this torch multiplies no int8 matrices"
)


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
    watch = Watch(whole)
    whole(x.bfloat16())
    quantise(whole, watch)
    error = (whole(x.bfloat16()).float() - expected).std() / expected.std()
    assert 0.001 < error < 0.04
    assert isinstance(whole[0].mlp_out, Int8Linear)
    far = whole(
        10 * x.bfloat16()
    )  # beyond what was seen: at the end of the range, no wrapping round
    assert (far.float() - layers(10 * x)).std() / layers(10 * x).std() < 0.5


@torch.inference_mode()
def test_one_channel_that_reaches_far_does_not_drown_the_others() -> None:
    torch.manual_seed(0)
    layer = Block(64, 4, "relu")
    layer.attention_norm.weight[3] *= 200
    layer.qkv.weight[:, 3] /= 200
    x = torch.randn(4, 30, 64)
    expected = layer.qkv(layer.attention_norm(x))
    watch = Watch(layer)
    layer(x)
    quantise(layer, watch)
    error = (layer.qkv(layer.attention_norm(x)).float() - expected).std() / expected.std()
    assert error < 0.03


def test_the_shipped_checkpoint_does_the_same_in_whole_numbers() -> None:
    bodies = {precision: _played(precision) for precision in ("float32", "int8")}
    pairs = list(zip(bodies["float32"], bodies["int8"], strict=True))
    assert sum(a == b for a, b in pairs) / len(pairs) > 0.85
    assert len(set(bodies["float32"])) > 5


def _played(precision: Precision) -> list[ActionTokens]:
    """Greedy actions of the frames after the first 16, which whole numbers are made for."""
    checkpoint = load(DEFAULT_CHECKPOINT)
    engine = Engine(checkpoint, EngineOptions(temperature=0, precision=precision))
    session = engine.open(ActionCodec(SPEC, checkpoint.vocabulary), 0)
    choices = [engine.act([session], [frame], [INSTRUCTION])[0] for frame in expert_trace().frames]
    return [choice.tokens for choice in choices[16:]]

"""Do packed matrices compute what the plain ones do?"""

from __future__ import annotations

import copy

import pytest
import torch

from agent_core.model.block import Block
from agent_core.packed import can_pack, pack

pytestmark = pytest.mark.skipif(
    not can_pack(torch.device("cpu")), reason="this CPU or torch has no bfloat16 matrices"
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
    pack(packed)
    scale = float(expected.std())
    error = float((packed(x.bfloat16()).float() - expected).abs().max()) / scale
    of_plain = float((plain(x.bfloat16()).float() - expected).abs().max()) / scale
    assert error < max(2 * of_plain, 0.02)
    assert not list(packed.feed_out.parameters())

"""NumPy reference of the CPU kernels against torch, on every machine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from agent_core.cpu.kernels import reference

pytestmark = pytest.mark.processor

RANDOM = np.random.default_rng(0)


def close(actual: NDArray[np.floating], expected: torch.Tensor) -> None:
    np.testing.assert_allclose(actual, expected.double().numpy(), rtol=1e-9, atol=1e-12)


def test_bfloat16_rounds_as_torch_does() -> None:
    x = np.concatenate([RANDOM.normal(size=1000), [0, 1 + 2**-8, 1 + 3 * 2**-8, -1e30, 2e-38]])
    half = torch.tensor(x, dtype=torch.float32).bfloat16()
    np.testing.assert_array_equal(
        reference.to_bf16(x).view(np.int16), half.view(torch.int16).numpy()
    )
    close(reference.from_bf16(reference.to_bf16(x)), half)


@pytest.mark.parametrize(
    ("function", "torch_function"),
    [(reference.relu, F.relu), (reference.silu, F.silu), (reference.gelu, F.gelu)],
)
def test_activations(
    function: Callable[[reference.Float], reference.Float],
    torch_function: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    x = np.linspace(-9, 9, 101)
    close(function(x), torch_function(torch.tensor(x)))


def test_layer_norm() -> None:
    x, weight, bias = RANDOM.normal(size=(3, 20)), RANDOM.normal(size=20), RANDOM.normal(size=20)
    expected = F.layer_norm(*(torch.tensor(x), (20,), torch.tensor(weight), torch.tensor(bias)))
    close(reference.layer_norm(x, weight, bias), expected)


def test_attention() -> None:
    query, key, value = (RANDOM.normal(size=(2, 3, n, 8)) for n in (4, 7, 7))
    bias = np.where(RANDOM.random((2, 1, 4, 7)) < 0.5, -np.inf, RANDOM.normal(size=(2, 1, 4, 7)))
    bias[..., 2] = 0
    q, k, v, mask = (torch.tensor(x) for x in (query, key, value, bias))
    expected = F.scaled_dot_product_attention(q, k, v, mask)
    close(reference.attention(query, key, value, bias), expected)


def test_temporal_attention_is_attention_of_each_place() -> None:
    query, cache = RANDOM.normal(size=(2, 5, 3, 8)), RANDOM.normal(size=(2, 2, 5, 3, 4, 8))
    attended = np.array([[True, False], [True, True], [False, True], [False, True]])
    actual = reference.temporal_attention(query, cache[0], cache[1], attended)
    for b, place, head in np.ndindex(2, 5, 3):
        keys, values = (torch.tensor(c[b, place, head, attended[:, b]]) for c in cache)
        one = torch.tensor(query[b, place, head])[None]
        close(actual[b, place, head], F.scaled_dot_product_attention(one, keys, values)[0])


def test_quantize_saturates() -> None:
    x = np.array([-3.0, 0.5, 1.5, 254.6, 300.0])
    expected = torch.tensor(x).round().clamp(0, 255).to(torch.uint8)
    np.testing.assert_array_equal(reference.quantize(x), expected.numpy())


def test_convolution() -> None:
    images, weight = RANDOM.normal(size=(2, 9, 12, 3)), RANDOM.normal(size=(4, 5, 3, 3))
    bias = RANDOM.normal(size=4)
    expected = F.conv2d(
        torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(weight).permute(0, 3, 1, 2),
        torch.tensor(bias), stride=(2, 3), padding=2,
    )  # fmt: skip
    close(reference.convolution(images, weight, bias, (2, 3), 2), expected.permute(0, 2, 3, 1))


def test_packed_weights_lie_as_drawn() -> None:
    weight = RANDOM.integers(0, 256, (64, 128), dtype=np.uint8)
    packed = reference.pack_matrix(weight).reshape(2, 2, 2, 16, 16, 4)
    for block, step, half, line, output, byte in np.ndindex(*packed.shape):
        row, column = 32 * block + 16 * half + output, 64 * step + 4 * line + byte
        assert packed[block, step, half, line, output, byte] == weight[row, column]
    numbers = weight.astype(np.float32)
    panels = reference.pack_panels(numbers, 16).reshape(4, 128, 16)
    for panel, line, output in np.ndindex(*panels.shape):
        assert panels[panel, line, output] == numbers[16 * panel + output, line]

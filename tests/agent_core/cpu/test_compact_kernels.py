"""Kernels of the compact models against their NumPy reference, for every instruction set of this processor."""

from __future__ import annotations

import ctypes
from ctypes import byref

import numpy as np
import pytest
from numpy.typing import NDArray

from agent_core.cpu import compact as native_compact
from agent_core.cpu.capability import Isa
from agent_core.cpu.kernels import compact_structs as compact
from agent_core.cpu.kernels import reference
from agent_core.cpu.kernels.reference import Float
from tests.agent_core.cpu.kernel_calls import (
    COMPACT_ISAS,
    assert_close,
    library,
    needs_compiler,
    normal,
    pointer,
    scratch,
)

pytestmark = [pytest.mark.processor, needs_compiler]

LANES = {"avx512": 16, "avx2": 8}
each_compact_isa = pytest.mark.parametrize("isa", COMPACT_ISAS)
FLOAT_ERROR = 2e-6


def f32(seed: int, *shape: int) -> NDArray[np.float32]:
    return normal(seed, *shape).astype(np.float32)


def doubles(*arrays: NDArray[np.float32]) -> list[Float]:
    return [array.astype(np.float64) for array in arrays]


class PanelMatrix:
    """A random matrix in panels."""

    def __init__(self, loaded: ctypes.CDLL, outputs: int, inputs: int) -> None:
        self.weight, self.bias = f32(1, outputs, inputs), f32(2, outputs)
        self.packed = np.zeros(outputs * inputs, dtype=np.float32)
        loaded.iafm_pack_panels(pointer(self.weight), outputs, inputs, pointer(self.packed))
        self.struct = compact.Matrix(pointer(self.packed), pointer(self.bias), inputs, outputs)

    def product(self, x: Float) -> Float:
        return x @ self.weight.T.astype(np.float64) + self.bias


@each_compact_isa
def test_panels_are_packed_as_drawn(isa: Isa) -> None:
    matrix = PanelMatrix(library("compact", isa), 96, 7)
    panels = reference.pack_panels(matrix.weight, 2 * LANES[isa])
    np.testing.assert_array_equal(matrix.packed, panels)


@each_compact_isa
@pytest.mark.parametrize("rows", [*range(1, 15), 25])
def test_linear_in_float32(isa: Isa, rows: int) -> None:
    loaded, x = library("compact", isa), f32(rows, rows, 33)
    matrix = PanelMatrix(loaded, 64, 33)
    out = np.zeros((rows, 64), dtype=np.float32)
    loaded.iafm_linear(byref(matrix.struct), pointer(x), rows, pointer(out))
    assert_close(out.astype(float), matrix.product(x.astype(float)), FLOAT_ERROR)
    alone = np.zeros((1, 64), dtype=np.float32)
    loaded.iafm_linear(byref(matrix.struct), pointer(x[-1:]), 1, pointer(alone))
    np.testing.assert_array_equal(alone[0], out[-1])  # a row's sum does not depend on the others


@each_compact_isa
@pytest.mark.parametrize("activation", [compact.IDENTITY, compact.RELU])
def test_product_of_rows_in_runs(isa: Isa, activation: int) -> None:
    """Rows overlap and consist of runs, as what a convolution's kernel covers."""
    loaded, rows, x = library("compact", isa), 5, f32(0, 3, 40)
    matrix, residual = PanelMatrix(loaded, 32, 3 * 9), f32(4, rows, 32)
    out = residual.copy()
    call = compact.Product(
        x=pointer(x), row_stride=6, runs=3, run_length=9, run_stride=40,
        panels=pointer(matrix.packed), line_stride=2 * LANES[isa], panel_stride=2 * LANES[isa] * 27,
        bias=pointer(matrix.bias), residual=pointer(out), out=pointer(out),
        out_stride=32, rows=rows, outputs=32, activation=activation,
    )  # fmt: skip
    loaded.iafm_product(byref(call))
    covered = np.stack([x[:, 6 * i : 6 * i + 9].reshape(-1) for i in range(rows)])
    expected = covered.astype(float) @ matrix.weight.T.astype(float)
    expected += matrix.bias + residual
    if activation == compact.RELU:
        expected = reference.relu(expected)
    assert_close(out.astype(float), expected, FLOAT_ERROR)


@each_compact_isa
@pytest.mark.parametrize(("rows", "width"), [(1, 32), (3, 96), (2, 16)])
def test_layer_norm(isa: Isa, rows: int, width: int) -> None:
    x, weight, bias = f32(0, rows, width) * 3 + 5, f32(1, width), f32(2, width)
    out, norm = np.zeros_like(x), compact.Norm(pointer(weight), pointer(bias))
    library("compact", isa).iafm_layer_norm(byref(norm), pointer(x), pointer(out), rows, width)
    inputs, scale, shift = doubles(x, weight, bias)
    assert_close(out.astype(float), reference.layer_norm(inputs, scale, shift), 1e-5)


@each_compact_isa
def test_gelu(isa: Isa) -> None:
    x = np.linspace(-12, 12, 160, dtype=np.float32)
    x[0], x[-1] = -1e30, 1e30
    out = x.copy()
    library("compact", isa).iafm_gelu(pointer(out), len(out))
    np.testing.assert_allclose(out, reference.gelu(x.astype(float)), rtol=1e-6, atol=1e-6)


@each_compact_isa
@pytest.mark.parametrize(("queries", "count"), [(1, 1), (3, 31), (13, 33), (24, 100)])
def test_attention_with_bias(isa: Isa, queries: int, count: int) -> None:
    """Some slots of the cache; those that are not attended hold NaN."""
    loaded, head_dim, random = library("compact", isa), 32, np.random.default_rng(count)
    query, cache = f32(0, queries, 3 * head_dim), f32(1, 2, 120, head_dim)
    slots = np.sort(random.permutation(120)[:count]).astype(np.int32)
    cache[:, np.setdiff1d(np.arange(120), slots)] = np.nan
    padded = -(-count // (2 * LANES[isa])) * 2 * LANES[isa]
    bias = np.full((queries, padded), -np.inf, dtype=np.float32)
    bias[:, :count] = np.where(
        random.random((queries, count)) < 0.3, -np.inf, f32(2, queries, count)
    )
    bias[:, 0] = 0.5
    out = np.zeros((queries, 2 * head_dim), dtype=np.float32)
    call = compact.Attention(
        query=pointer(query), query_stride=3 * head_dim, keys=pointer(cache[0]),
        values=pointer(cache[1]), slots=pointer(slots), bias=pointer(bias), out=pointer(out),
        out_stride=2 * head_dim, queries=queries, head_dim=head_dim, count=count,
    )  # fmt: skip
    call.scratch, memory = scratch(4 * loaded.iafm_attention_scratch(queries, head_dim, count))
    loaded.iafm_attention(byref(call))
    del memory
    scaled, keys, values, added = doubles(query[:, :head_dim], *cache[:, slots], bias[:, :count])
    expected = reference.attention(scaled * np.sqrt(head_dim), keys, values, added)
    assert_close(out[:, :head_dim].astype(float), expected, 1e-5)
    assert not out[:, head_dim:].any()


@each_compact_isa
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [((9, 14), (3, 3), (1, 2), 1), ((8, 8), (5, 3), (3, 1), 2), ((6, 10), (2, 4), (2, 3), 0)],
)
@pytest.mark.parametrize("has_text", [False, True])
def test_convolutions(
    isa: Isa,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: int,
    has_text: bool,
) -> None:
    """Two layers with a ReLU between them, then a norm; three images on two threads, each with its own text."""
    loaded = library("compact", isa)
    images = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    shapes = [(32, *kernel, 3), (32, 1, 2, 32)]
    matrices = [PanelMatrix(loaded, shape[0], int(np.prod(shape[1:]))) for shape in shapes]
    two = ctypes.c_int64 * 2
    layers = (compact.Convolution * 2)(
        compact.Convolution(matrices[0].struct, two(*kernel), two(*stride), padding, 1),
        compact.Convolution(matrices[1].struct, two(1, 2), two(1, 1), 0, 0),
    )
    weights = [
        m.weight.reshape(s).astype(np.float64) for m, s in zip(matrices, shapes, strict=True)
    ]
    biases = doubles(*(matrix.bias for matrix in matrices))
    pixels = images.astype(np.float64) * (2 / 255) - 1
    shift = f32(8, 3, 32)
    hidden = reference.convolution(pixels, weights[0], np.zeros(32), stride, padding)
    hidden = reference.relu(hidden + (shift[:, None, None] if has_text else biases[0]))
    plain = reference.convolution(hidden, weights[1], biases[1], (1, 1), 0)
    weight, bias = f32(5, 32), f32(6, 32)
    out = np.zeros(plain.shape, dtype=np.float32)
    conditioning = compact.Conditioning(layer=0, shift=pointer(shift) if has_text else None)
    call = compact.ConvStem(
        conditioning=conditioning, layers=layers, norm=compact.Norm(pointer(weight), pointer(bias)), layer_count=2,
        images=pointer(images), out=pointer(out), batch=3, height=size[0], width=size[1], threads=2,
    )  # fmt: skip
    call.scratch, memory = scratch(4 * loaded.iafm_conv_stem_scratch(byref(call)))
    loaded.iafm_conv_stem(byref(call))
    del memory
    norm_weight, norm_bias = doubles(weight, bias)
    expected = reference.layer_norm(plain, norm_weight, norm_bias)
    assert_close(out.astype(float), expected, 2e-5)


@each_compact_isa
def test_a_compact_model(isa: Isa) -> None:
    assert native_compact.max_error_vs_torch(isa) < 1e-5

"""CPU kernels against their NumPy reference, for every instruction set of this processor, also in a debug build.

The debug build checks indices (`IAFM_DEBUG`) and runs under the address and undefined-behaviour sanitizers, in a
process of its own that runs the other tests of this file once more.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import byref
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent_core.cpu import compact as native_compact
from agent_core.cpu import paper as native_paper
from agent_core.cpu.build import Isa, Kind, compile_library, load_library, supported_isas
from agent_core.cpu.kernels import compact_structs as compact
from agent_core.cpu.kernels import paper_structs as paper
from agent_core.cpu.kernels import reference
from agent_core.cpu.kernels.reference import Float, from_bf16, to_bf16
from agent_core.errors import KernelError

pytestmark = pytest.mark.processor

COMPILER = os.environ.get("CC") or "cc"
HEAD_DIM = paper.HEAD_DIM
PAPER_ISAS: tuple[Isa, ...] = supported_isas("paper")
if PAPER_ISAS:
    PAPER_ISAS = (*PAPER_ISAS, "amx_emulated")
COMPACT_ISAS = supported_isas("compact")
IS_DEBUG = "-DIAFM_DEBUG" in os.environ.get("IAFM_KERNEL_FLAGS", "")
if IS_DEBUG:
    COMPACT_ISAS = COMPACT_ISAS[:1]  # indices are the same for all
LANES = {"avx512": 16, "avx2": 8}

each_paper_isa = pytest.mark.parametrize("isa", PAPER_ISAS)
each_compact_isa = pytest.mark.parametrize("isa", COMPACT_ISAS)


@lru_cache
def has_compiler() -> bool:
    command = [COMPILER, "-x", "c", "-c", os.devnull, "-o", os.devnull]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_compiler(), reason=f"{COMPILER} does not compile")


@lru_cache
def library(kind: Kind, isa: Isa) -> ctypes.CDLL:
    return load_library(kind, isa)


def pointer(array: NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data


def scratch(size: int) -> tuple[int, NDArray[np.uint8]]:
    """Address of `size` bytes aligned to 64, and what keeps them alive; filled with NaN."""
    array = np.full(size + 64, 0xFF, dtype=np.uint8)
    return -(-array.ctypes.data // 64) * 64, array


def normal(seed: int, *shape: int) -> Float:
    return np.random.default_rng(seed).normal(size=shape)


def half(seed: int, *shape: int) -> reference.Bf16:
    return to_bf16(normal(seed, *shape))


def assert_close(actual: Float, expected: Float, error: float) -> None:
    """Within `error` of the largest expected number."""
    assert np.isfinite(actual).all()
    assert float(np.abs(actual - expected).max()) <= error * float(np.abs(expected).max())


BF16_ERROR = 2**-7
"""Rounding of the output, and of a few inputs that the kernel's float32 rounds the other way."""


# ---- the paper's layers ----


class PackedMatrix:
    """A random matrix as the kernel takes it, and as numbers."""

    def __init__(
        self,
        loaded: ctypes.CDLL,
        outputs: int,
        inputs: int,
        *,
        int8: bool = False,
        norm: bool = False,
        activation: int = paper.RELU,
    ) -> None:
        self.scale = np.abs(normal(2, outputs)).astype(np.float32) * (2e-5 if int8 else 1)
        self.bias = normal(3, outputs).astype(np.float32)
        self.norm = [normal(4, inputs).astype(np.float32), normal(5, inputs).astype(np.float32)]
        if int8:
            self.norm = [30 * self.norm[0], 20 * self.norm[1] + 128]
            self.weight = (
                np.random.default_rng(1).integers(-127, 128, (outputs, inputs)).astype(np.int8)
            )
            self.numbers = self.weight.astype(np.float64)
        else:
            self.weight = to_bf16(normal(1, outputs, inputs) / np.sqrt(inputs))
            self.numbers = from_bf16(self.weight)
        self.int8, self.has_norm, self.activation = int8, norm, activation
        self.packed = np.zeros(self.weight.nbytes, dtype=np.uint8)
        row_bytes = self.weight.nbytes // outputs
        loaded.iafm_pack_matrix(pointer(self.weight), outputs, row_bytes, pointer(self.packed))
        norm_pointers = map(pointer, self.norm) if norm else (None, None)
        self.struct = paper.Matrix(
            pointer(self.packed), pointer(self.scale), pointer(self.bias), *norm_pointers,
            epsilon=1e-5, requant_scale=9.0, zero_point=100.0,
            dtype=paper.UINT8 if int8 else paper.BFLOAT16, activation=activation,
            inputs=inputs, outputs=outputs,
        )  # fmt: skip

    def prologue(self, x: Float) -> Float:
        if self.has_norm:
            x = reference.layer_norm(x, *(n.astype(np.float64) for n in self.norm))
        return reference.quantize(x).astype(float) if self.int8 else from_bf16(to_bf16(x))

    def product(self, x: Float) -> Float:
        return x @ self.numbers.T * self.scale + self.bias

    def hidden(self, x: Float) -> Float:
        y = reference.relu(x) if self.activation == paper.RELU else reference.silu(x)
        return reference.quantize(y * 9 + 100).astype(float) if self.int8 else from_bf16(to_bf16(y))


def run_linear(
    loaded: ctypes.CDLL,
    matrices: Sequence[PackedMatrix],
    x: reference.Bf16,
    residual: reference.Bf16 | None,
    threads: int = 2,
) -> Float:
    out = np.full((len(x), matrices[-1].struct.outputs), 0x7FC0, dtype=np.uint16)
    call = paper.Linear(
        x=pointer(x), residual=pointer(residual), out=pointer(out), rows=len(x), threads=threads
    )
    call.first = ctypes.pointer(matrices[0].struct)
    if len(matrices) > 1:
        call.second = ctypes.pointer(matrices[1].struct)
    call.scratch, memory = scratch(loaded.iafm_linear_scratch(byref(call)))
    loaded.iafm_linear(byref(call))
    del memory
    return from_bf16(out)


ROWS = [1, 7, 8, 9, 16, 31, 33, 70, 231]
"""One, a register block, tiles of 16, blocks of 32 and a panel of 224, and one row more or less."""


@each_paper_isa
@pytest.mark.parametrize(("outputs", "row_bytes"), [(32, 64), (64, 192), (96, 128)])
def test_weights_are_packed_as_drawn(isa: Isa, outputs: int, row_bytes: int) -> None:
    weight = np.random.default_rng(0).integers(0, 256, (outputs, row_bytes), dtype=np.uint8)
    packed = np.zeros(weight.size, dtype=np.uint8)
    library("paper", isa).iafm_pack_matrix(pointer(weight), outputs, row_bytes, pointer(packed))
    np.testing.assert_array_equal(packed, reference.pack_matrix(weight))


@each_paper_isa
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("rows", ROWS)
def test_linear_with_norm_and_residual(isa: Isa, rows: int, int8: bool) -> None:
    loaded, x = library("paper", isa), half(rows, rows, 128)
    matrix = PackedMatrix(loaded, 96, 128, int8=int8, norm=True)
    residual = half(9, rows, 96)
    expected = matrix.product(matrix.prologue(from_bf16(x)))
    assert_close(run_linear(loaded, [matrix], x, None), expected, BF16_ERROR)
    expected = expected + from_bf16(residual)
    assert_close(run_linear(loaded, [matrix], x, residual), expected, BF16_ERROR)


@each_paper_isa
def test_linear_without_norm(isa: Isa) -> None:
    loaded, x = library("paper", isa), half(0, 19, 64)
    matrix = PackedMatrix(loaded, 32, 64)
    expected = matrix.product(from_bf16(x))
    assert_close(run_linear(loaded, [matrix], x, None), expected, 2**-8)


@each_paper_isa
@pytest.mark.parametrize("activation", [paper.RELU, paper.SILU])
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("rows", [1, 33, 231])
def test_mlp(isa: Isa, rows: int, int8: bool, activation: int) -> None:
    loaded, x, residual = library("paper", isa), half(rows, rows, 64), half(9, rows, 64)
    first = PackedMatrix(loaded, 128, 64, int8=int8, norm=True, activation=activation)
    second = PackedMatrix(loaded, 64, 128, int8=int8)
    hidden = first.hidden(first.product(first.prologue(from_bf16(x))))
    expected = second.product(hidden) + from_bf16(residual)
    assert_close(run_linear(loaded, [first, second], x, residual), expected, BF16_ERROR)


@each_paper_isa
def test_int8_inputs_saturate(isa: Isa) -> None:
    loaded = library("paper", isa)
    matrix = PackedMatrix(loaded, 32, 64, int8=True)
    x = to_bf16(200 * normal(0, 5, 64) + 100)
    assert (from_bf16(x) > 256).any()
    assert (from_bf16(x) < -1).any()
    expected = matrix.product(matrix.prologue(from_bf16(x)))
    assert_close(run_linear(loaded, [matrix], x, None), expected, 2**-8)


@each_paper_isa
def test_threads_do_not_change_a_linear_layer(isa: Isa) -> None:
    loaded, x = library("paper", isa), half(0, 45, 64)
    matrix = PackedMatrix(loaded, 160, 64, norm=True)
    one, three = (run_linear(loaded, [matrix], x, None, threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)


def head_rows(array: NDArray[np.uint16], *, heads_last: bool) -> paper.HeadRows:
    """Of (batch, heads, rows, HEAD_DIM), or (batch, rows, heads, HEAD_DIM)."""
    batch, second, third, _ = (stride // 2 for stride in array.strides)
    head, row = (third, second) if heads_last else (second, third)
    return paper.HeadRows(pointer(array), batch, head, row)


def run_attention(
    loaded: ctypes.CDLL,
    query: reference.Bf16,
    key: reference.Bf16,
    value: reference.Bf16,
    mask: NDArray[np.bool_] | None,
    session: NDArray[np.int64] | None,
    threads: int = 2,
) -> Float:
    """(B, Q, heads, h), (sessions, heads, K, h) twice, (B, Q, K) attended -> (B, Q, heads, h)."""
    batch, queries, heads, _ = query.shape
    out = np.full(query.shape, 0x7FC0, dtype=np.uint16)
    bias = None if mask is None else np.where(mask, 0, 0xFF80).astype(np.uint16)
    keys = key.shape[2]
    call = paper.Attention(
        query=head_rows(query, heads_last=True), key=head_rows(key, heads_last=False),
        value=head_rows(value, heads_last=False), mask=pointer(bias),
        mask_batch_stride=queries * keys, mask_row_stride=keys, session=pointer(session),
        out=pointer(out), batch=batch, heads=heads, queries=queries, keys=keys, threads=threads,
    )  # fmt: skip
    call.scratch, memory = scratch(threads * loaded.iafm_attention_scratch(queries, keys))
    loaded.iafm_attention(byref(call))
    del memory
    return from_bf16(out)


def expected_attention(
    query: reference.Bf16, key: reference.Bf16, value: reference.Bf16, mask: NDArray[np.bool_]
) -> Float:
    bias = np.where(mask, 0.0, -np.inf)[:, None]
    rows = from_bf16(query).swapaxes(1, 2), from_bf16(key), from_bf16(value)
    return reference.attention(*rows, bias).swapaxes(1, 2)


@each_paper_isa
@pytest.mark.parametrize(
    ("queries", "keys"),
    [(1, 1), (1, 33), (15, 32), (17, 31), (3, 129), (37, 301), (70, 128), (65, 257)],
)
def test_attention_with_mask(isa: Isa, queries: int, keys: int) -> None:
    loaded = library("paper", isa)
    query = half(0, 2, queries, 3, HEAD_DIM)
    key, value = half(1, 4, 3, keys, HEAD_DIM), half(2, 4, 3, keys, HEAD_DIM)
    mask = np.random.default_rng(3).random((2, queries, keys)) < 0.4
    mask[1, :, 128:256] = False  # a whole block of keys
    mask[..., 0] = True
    session = np.array([3, 1])
    expected = expected_attention(query, key[session], value[session], mask)
    assert_close(run_attention(loaded, query, key, value, mask, session), expected, BF16_ERROR)


@each_paper_isa
@pytest.mark.parametrize("tokens", [1, 21, 197])
def test_attention_over_all_keys_of_a_joint_projection(isa: Isa, tokens: int) -> None:
    """Queries, keys and values lie side by side, as the matrix before leaves them; no mask, no session."""
    loaded, qkv = library("paper", isa), half(tokens, 2, tokens, 3, 2, HEAD_DIM)
    query, key, value = (qkv[:, :, part] for part in range(3))
    out = run_attention(loaded, query, key.swapaxes(1, 2), value.swapaxes(1, 2), None, None)
    everything = np.ones((2, tokens, tokens), dtype=bool)
    expected = expected_attention(query, key.swapaxes(1, 2), value.swapaxes(1, 2), everything)
    assert_close(out, expected, BF16_ERROR)


@each_paper_isa
def test_masked_keys_do_not_count_whatever_they_hold(isa: Isa) -> None:
    loaded = library("paper", isa)
    query, cache = half(0, 1, 5, 2, HEAD_DIM), half(1, 2, 1, 2, 150, HEAD_DIM)
    mask = np.zeros((1, 5, 150), dtype=bool)
    mask[:, :, 10:140:3] = True
    clean = run_attention(loaded, query, cache[0], cache[1], mask, None)
    cache[:, :, :, ~mask[0, 0]] = to_bf16(np.array(1e30))
    np.testing.assert_array_equal(
        run_attention(loaded, query, cache[0], cache[1], mask, None), clean
    )


@each_paper_isa
def test_large_scores_do_not_overflow(isa: Isa) -> None:
    loaded = library("paper", isa)
    query, key = to_bf16(40 * normal(0, 1, 4, 1, HEAD_DIM)), half(1, 1, 1, 300, HEAD_DIM)
    value = half(2, 1, 1, 300, HEAD_DIM)
    everything = np.ones((1, 4, 300), dtype=bool)
    expected = expected_attention(query, key, value, everything)
    assert_close(run_attention(loaded, query, key, value, None, None), expected, 2**-6)


@each_paper_isa
@pytest.mark.parametrize(("frames", "images"), [(1, 1), (4, 3), (9, 2), (16, 1)])
def test_temporal_attention(isa: Isa, frames: int, images: int) -> None:
    loaded, places, heads = library("paper", isa), 5, 3
    qkv = half(0, images, places, 3, heads, HEAD_DIM)
    cache = half(1, 2, 4, places, heads, frames, HEAD_DIM)
    session = np.random.default_rng(2).permutation(4)[:images]
    frame_slot = np.random.default_rng(3).integers(0, frames, images)
    attended = np.random.default_rng(4).random((frames, images)) < 0.6
    attended[frame_slot, np.arange(images)] = True
    expected_cache = cache.copy()
    for part, b in np.ndindex(2, images):
        expected_cache[part, session[b], :, :, frame_slot[b]] = qkv[b, :, part + 1]
    out = np.zeros((images, places, heads, HEAD_DIM), dtype=np.uint16)
    mask = np.where(attended, 0, 0xFF80).astype(np.uint16)
    call = paper.TemporalAttention(
        *(head_rows(qkv[:, :, part], heads_last=True) for part in range(3)),
        pointer(cache[0]), pointer(cache[1]), pointer(mask), pointer(session), pointer(frame_slot),
        pointer(out), images=images, places=places, heads=heads, frames=frames, threads=2,
    )  # fmt: skip
    loaded.iafm_temporal_attention(byref(call))
    np.testing.assert_array_equal(cache, expected_cache)
    keys, values = from_bf16(cache[:, session])
    expected = reference.temporal_attention(from_bf16(qkv[:, :, 0]), keys, values, attended)
    assert_close(from_bf16(out), expected, BF16_ERROR)


# ---- the compact models ----

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
        bias=pointer(matrix.bias), residual=pointer(out), out=pointer(out), out_stride=32,
        rows=rows, outputs=32, activation=activation,
    )  # fmt: skip
    loaded.iafm_product(byref(call))
    covered = np.stack([x[:, 6 * i : 6 * i + 9].reshape(-1) for i in range(rows)])
    expected = matrix.product(covered.astype(float)) + residual
    if activation == compact.RELU:
        expected = reference.relu(expected)
    assert_close(out.astype(float), expected, FLOAT_ERROR)


@each_compact_isa
@pytest.mark.parametrize(("rows", "width"), [(1, 32), (3, 96), (2, 16)])
def test_layer_norm(isa: Isa, rows: int, width: int) -> None:
    x, weight, bias = f32(0, rows, width) * 3 + 5, f32(1, width), f32(2, width)
    out, norm = np.zeros_like(x), compact.Norm(pointer(weight), pointer(bias))
    library("compact", isa).iafm_layer_norm(byref(norm), pointer(x), pointer(out), rows, width)
    assert_close(out.astype(float), reference.layer_norm(*doubles(x, weight, bias)), 1e-5)


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
def test_convolutions(
    isa: Isa, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: int
) -> None:
    """Two layers with a ReLU between them, then a norm; three images on two threads."""
    loaded = library("compact", isa)
    images = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    shapes = [(32, *kernel, 3), (32, 1, 2, 32)]
    matrices = [PanelMatrix(loaded, shape[0], int(np.prod(shape[1:]))) for shape in shapes]
    two = ctypes.c_int64 * 2
    layers = (compact.Convolution * 2)(
        compact.Convolution(matrices[0].struct, two(*kernel), two(*stride), padding, 1),
        compact.Convolution(matrices[1].struct, two(1, 2), two(1, 1), 0, 0),
    )
    weights = [m.weight.reshape(s).astype(float) for m, s in zip(matrices, shapes, strict=True)]
    hidden = reference.relu(
        reference.convolution(images * (2 / 255) - 1, weights[0], matrices[0].bias, stride, padding)
    )
    plain = reference.convolution(hidden, weights[1], matrices[1].bias, (1, 1), 0)
    weight, bias = f32(5, 32), f32(6, 32)
    out = np.zeros(plain.shape, dtype=np.float32)
    call = compact.ConvStem(
        layers=layers, norm=compact.Norm(pointer(weight), pointer(bias)), layer_count=2,
        images=pointer(images), out=pointer(out), batch=3, height=size[0], width=size[1], threads=2,
    )  # fmt: skip
    call.scratch, memory = scratch(4 * loaded.iafm_conv_stem_scratch(byref(call)))
    loaded.iafm_conv_stem(byref(call))
    del memory
    assert_close(out.astype(float), reference.layer_norm(plain, *doubles(weight, bias)), 2e-5)


# ---- whole layers, which tests of the engine's parts compare with torch more closely ----


@each_paper_isa
def test_a_layer_of_the_paper(isa: Isa) -> None:
    assert native_paper.max_error_vs_torch(isa) < 0.05


@each_compact_isa
def test_a_compact_model(isa: Isa) -> None:
    assert native_compact.max_error_vs_torch(isa) < 1e-5


# ---- the ABI check ----

KINDS: list[Kind] = [
    kind for kind, isas in (("paper", PAPER_ISAS), ("compact", COMPACT_ISAS)) if isas
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["missing", "order", "unknown"])
def test_a_mirror_that_does_not_fit_is_refused(kind: Kind, change: str) -> None:
    own = {"paper": paper.Matrix, "compact": compact.Matrix}[kind]._fields_
    fields = {
        "missing": [*own[:1], *own[2:]],
        "order": [own[1], own[0], *own[2:]],
        "unknown": [*own, ("colour", ctypes.c_int64)],
    }[change]
    mirror = type("Matrix", (ctypes.Structure,), {"_fields_": fields})
    message = {
        "missing": "its mirror has no field Matrix.",
        "order": r"has \(offset, size\)",
        "unknown": "the library has no field Matrix.colour",
    }[change]
    with pytest.raises(KernelError, match=f"does not fit this version: .*{message}") as refusal:
        load_library(kind, structs=[mirror])
    assert "\n" not in str(refusal.value)


# ---- the debug build ----


def asan_library() -> str | None:
    """To be loaded before Python; None where the compiler is not gcc with both sanitizers' libraries."""
    paths = [Path(_compiler_says(f"-print-file-name=lib{name}.so")) for name in ("asan", "ubsan")]
    complete = all(path.is_absolute() and path.exists() for path in paths)
    return str(paths[0]) if complete and "clang" not in _compiler_says("--version") else None


def _compiler_says(option: str) -> str:
    command = [COMPILER, option]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


OUT_OF_RANGE = """
import torch

from agent_core.config import ModelConfig
from agent_core.model.decoder import Decoder
from agent_core.cpu.compact import CpuDecoder

torch.set_grad_enabled(False)
layers = CpuDecoder(Decoder(ModelConfig(width=64, heads=2, layers=1)))
x, columns, cache = torch.zeros(1, 1, 64), torch.zeros(1, 1, 8).short(), torch.zeros(1, 2, 1, 2, 8, 32)
for slot in (7, 8):
    layers.forward_cached(x, columns, cache, torch.tensor([0]), torch.tensor([[slot]]), None)
    print("wrote slot", slot, flush=True)
"""
not_in_debug = pytest.mark.skipif(IS_DEBUG, reason="this is the debug build's own process")
needs_kernels = pytest.mark.skipif(not COMPACT_ISAS, reason="no kernels for this processor")


def debug_environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """For a process that uses the debug build, which is compiled here: compilers are slow under the sanitizer."""
    asan = asan_library()
    undefined = "-fno-sanitize-recover=all" if asan else "-fsanitize-undefined-trap-on-error"
    sanitizers = "undefined,address" if asan else "undefined"  # a trap needs no library
    flags = f"-O1 -DIAFM_DEBUG -fsanitize={sanitizers} {undefined}"
    monkeypatch.setenv("IAFM_KERNEL_FLAGS", flags)
    paper_builds = [("paper", isa) for isa in PAPER_ISAS]
    builds = [*paper_builds, ("compact", COMPACT_ISAS[0])]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda build: compile_library(*build), builds))
    preload = {"LD_PRELOAD": asan} if asan else {}
    return {**os.environ, "OMP_NUM_THREADS": "2", "ASAN_OPTIONS": "detect_leaks=0", **preload}


def run_python(
    arguments: Sequence[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@not_in_debug
@needs_kernels
def test_the_debug_build_passes_these_tests_under_sanitizers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest_arguments = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__]
    done = run_python(pytest_arguments, debug_environment(monkeypatch))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout


@not_in_debug
@needs_kernels
def test_the_debug_build_stops_at_an_index_out_of_range(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run_python(["-c", OUT_OF_RANGE], debug_environment(monkeypatch))
    assert done.stdout.splitlines() == ["wrote slot 7"]
    assert "assertion failed: 0 <= slot" in done.stderr

"""Kernels of the paper's layers against their NumPy reference, for every instruction set of this processor."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import byref

import numpy as np
import pytest
from numpy.typing import NDArray

from agent_core.cpu import paper as native_paper
from agent_core.cpu.capability import Isa
from agent_core.cpu.kernels import paper_structs as paper
from agent_core.cpu.kernels import reference
from agent_core.cpu.kernels.reference import Float, from_bf16, to_bf16
from tests.agent_core.cpu.kernel_calls import (
    PAPER_ISAS,
    assert_close,
    half,
    library,
    needs_compiler,
    normal,
    pointer,
    scratch,
)

pytestmark = [pytest.mark.processor, needs_compiler]

HEAD_DIM = paper.HEAD_DIM
each_paper_isa = pytest.mark.parametrize("isa", PAPER_ISAS)
BF16_ERROR = 2**-7
"""Rounding of the output, and of a few inputs that the kernel's float32 rounds the other way."""


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
            whole = np.random.default_rng(1).integers(-127, 128, (outputs, inputs))
            self.weight: NDArray[np.int8] | reference.Bf16 = whole.astype(np.int8)
            self.numbers = whole.astype(np.float64)
        else:
            rounded = to_bf16(normal(1, outputs, inputs) / np.sqrt(inputs))
            self.weight, self.numbers = rounded, from_bf16(rounded)
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
            weight, bias = (parameter.astype(np.float64) for parameter in self.norm)
            x = reference.layer_norm(x, weight, bias)
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


@each_paper_isa
def test_a_layer_of_the_paper(isa: Isa) -> None:
    assert native_paper.max_error_vs_torch(isa) < 0.05

"""NumPy reference of every CPU kernel: plain formulas in float64, and the memory layouts that the C code reads.

A bfloat16 number is kept as the upper half of a float32's bits, in uint16, as the C code has it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bf16 = NDArray[np.uint16]


def to_bf16(x: NDArray[np.floating]) -> Bf16:
    """Rounded to nearest, ties to even."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bf16(x: Bf16) -> Float:
    return (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def softmax(x: Float) -> Float:
    """Over the last axis; -inf has probability 0."""
    exp = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(exp / exp.sum(-1, keepdims=True))


def relu(x: Float) -> Float:
    return np.maximum(x, 0)


def silu(x: Float) -> Float:
    return np.asarray(x * 0.5 * (1 + np.tanh(x / 2)))  # x / (1 + e^-x) without overflow


def gelu(x: Float) -> Float:
    """x times the normal distribution's integral up to x."""
    erf = np.vectorize(math.erf, otypes=[np.float64])
    return np.asarray(x * 0.5 * (1 + erf(x / math.sqrt(2))))


def layer_norm(x: Float, weight: Float, bias: Float, epsilon: float = 1e-5) -> Float:
    """Over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + epsilon) * weight + bias)


def attention(query: Float, key: Float, value: Float, bias: Float) -> Float:
    """softmax(Q K^T / sqrt(h) + bias) V: (…, Q, h), (…, K, h), (…, K, h), (…, Q, K) -> (…, Q, h)."""
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    return softmax(scores + bias) @ value


def temporal_attention(
    query: Float, key_cache: Float, value_cache: Float, attended: NDArray[np.bool_]
) -> Float:
    """Each place over its own frames.

    (B, P, heads, h), (B, P, heads, T, h) twice, (T, B) -> (B, P, heads, h).
    """
    bias = np.where(attended.T, 0.0, -np.inf)[:, None, None, None, :]
    return attention(query[..., None, :], key_cache, value_cache, bias)[..., 0, :]


def quantize(x: Float) -> NDArray[np.uint8]:
    """Rounded to the nearest of 0 … 255, ties to even."""
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def convolution(
    images: Float, weight: Float, bias: Float, stride: tuple[int, int], padding: int
) -> Float:
    """(B, H, W, C) by (outputs, kernel height, kernel width, C) -> (B, H', W', outputs)."""
    edges = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(images, edges), weight.shape[1:3], axis=(1, 2)
    )[:, :: stride[0], :: stride[1]]  # (B, H', W', C, kernel height, kernel width)
    return np.asarray(np.einsum("bhwckl,oklc->bhwo", windows, weight) + bias)


def pack_matrix(weight: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Weights as bytes (outputs, row bytes) as `paper.h` draws them: blocks of 32 outputs, two tiles for 64 bytes."""
    outputs, row_bytes = weight.shape
    tiles = weight.reshape(outputs // 32, 2, 16, row_bytes // 64, 16, 4)
    return np.ascontiguousarray(tiles.transpose(0, 3, 1, 4, 2, 5)).reshape(-1)


def pack_panels(weight: NDArray[np.float32], panel: int) -> NDArray[np.float32]:
    """Weights (outputs, inputs) as `compact.h` draws them: line by line of `panel` outputs."""
    outputs, inputs = weight.shape
    return np.ascontiguousarray(
        weight.reshape(outputs // panel, panel, inputs).transpose(0, 2, 1)
    ).reshape(-1)

"""ctypes mirrors of `paper/paper.h`: structs, constants and functions of the paper's kernels."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_float, c_int64, c_void_p
from typing import Any

HEAD_DIM = 64
"""Numbers of a head, as CLIP and OPT have them: the only size the kernels know."""
MAX_FRAMES = 16
BFLOAT16, UINT8 = range(2)
"""`Matrix.dtype`."""
RELU, SILU = range(2)
"""`Matrix.activation`."""


def _pointers(*names: str) -> list[tuple[str, Any]]:
    return [(name, c_void_p) for name in names]


def _integers(*names: str) -> list[tuple[str, Any]]:
    return [(name, c_int64) for name in names]


class HeadRows(Structure):
    _fields_ = [*_pointers("data"), *_integers("batch_stride", "head_stride", "row_stride")]


class Attention(Structure):
    _fields_ = [
        *((name, HeadRows) for name in ("query", "key", "value")),
        *_pointers("mask"),
        *_integers("mask_batch_stride", "mask_row_stride"),
        *_pointers("session", "out"),
        *_integers("batch", "heads", "queries", "keys", "threads"),
        *_pointers("scratch"),
    ]


class TemporalAttention(Structure):
    _fields_ = [
        *((name, HeadRows) for name in ("query", "key", "value")),
        *_pointers("key_cache", "value_cache", "mask", "session", "frame_slot", "out"),
        *_integers("images", "places", "heads", "frames", "threads"),
    ]


class Matrix(Structure):
    _fields_ = [
        *_pointers("packed", "scale", "bias", "norm_weight", "norm_bias"),
        *((name, c_float) for name in ("epsilon", "requant_scale", "zero_point")),
        *_integers("dtype", "activation", "inputs", "outputs"),
    ]


class Linear(Structure):
    _fields_ = [
        *((name, POINTER(Matrix)) for name in ("first", "second")),
        *_pointers("x", "residual", "out"),
        *_integers("rows", "threads"),
        *_pointers("scratch"),
    ]


class Layer(Structure):
    _fields_ = [
        (name, Matrix) for name in ("time_qkv", "time_out", "qkv", "out", "mlp_in", "mlp_out")
    ]


class Transformer(Structure):
    _fields_ = [
        ("layers", POINTER(Layer)),
        *_integers("layer_count", "heads"),
        *_pointers("x", "y"),
        *_integers("batch", "tokens", "last_n", "threads"),
        *_pointers("cache"),
        *_integers("sessions", "slots", "keys"),
        *_pointers("session", "slot", "mask"),
        *_integers("mask_batch_stride", "mask_row_stride"),
        *_pointers("frame_cache"),
        *_integers("frames"),
        *_pointers("frame_slot", "frame_mask", "scratch"),
    ]


STRUCTS = (HeadRows, Attention, TemporalAttention, Matrix, Linear, Layer, Transformer)
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "iafm_attention_scratch": (c_int64, [c_int64, c_int64]),
    "iafm_attention": (None, [POINTER(Attention)]),
    "iafm_temporal_attention": (None, [POINTER(TemporalAttention)]),
    "iafm_pack_matrix": (None, [c_void_p, c_int64, c_int64, c_void_p]),
    "iafm_linear_scratch": (c_int64, [POINTER(Linear)]),
    "iafm_linear": (None, [POINTER(Linear)]),
    "iafm_transformer_scratch": (c_int64, [POINTER(Transformer)]),
    "iafm_transformer": (None, [POINTER(Transformer)]),
}
"""(result, arguments) of every exported function."""

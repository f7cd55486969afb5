"""ctypes mirrors of `compact/compact.h`: structs, constants and functions of the compact models' kernels."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_int64, c_void_p
from typing import Any

IDENTITY, RELU = range(2)
"""`Product.activation`."""


def _pointers(*names: str) -> list[tuple[str, Any]]:
    return [(name, c_void_p) for name in names]


def _integers(*names: str) -> list[tuple[str, Any]]:
    return [(name, c_int64) for name in names]


class Product(Structure):
    _fields_ = [
        *_pointers("x"),
        *_integers("row_stride", "runs", "run_length", "run_stride"),
        *_pointers("panels"),
        *_integers("line_stride", "panel_stride"),
        *_pointers("bias", "residual", "out"),
        *_integers("out_stride", "rows", "outputs", "activation"),
    ]


class Matrix(Structure):
    _fields_ = [*_pointers("packed", "bias"), *_integers("inputs", "outputs")]


class Norm(Structure):
    _fields_ = _pointers("weight", "bias")


class Attention(Structure):
    _fields_ = [
        *_pointers("query"),
        *_integers("query_stride"),
        *_pointers("keys", "values", "slots", "bias", "out"),
        *_integers("out_stride", "queries", "head_dim", "count"),
        *_pointers("scratch"),
    ]


class Layer(Structure):
    _fields_ = [
        *((name, Norm) for name in ("attention_norm", "mlp_norm")),
        *((name, Matrix) for name in ("qkv", "out", "mlp_in", "mlp_out")),
    ]


class Decoder(Structure):
    _fields_ = [
        ("layers", POINTER(Layer)),
        ("norm", Norm),
        *_integers("layer_count", "heads", "head_dim"),
        *_pointers("x", "y"),
        *_integers("batch", "tokens", "last_n", "threads"),
        *_pointers("cache"),
        *_integers("layer_stride", "kv_stride", "session_stride", "head_stride"),
        *_pointers("session", "slot", "bias_index"),
        *_integers("keys", "bias_batch_stride", "bias_row_stride"),
        *_pointers("bias_table"),
        *_integers("bias_columns"),
        *_pointers("scratch"),
    ]


class Convolution(Structure):
    _fields_ = [
        ("matrix", Matrix),
        ("kernel", c_int64 * 2),
        ("stride", c_int64 * 2),
        *_integers("padding", "relu"),
    ]


class Conditioning(Structure):
    _fields_ = [*_integers("layer"), *_pointers("shift")]


class ConvStem(Structure):
    _fields_ = [
        ("layers", POINTER(Convolution)),
        ("norm", Norm),
        *_integers("layer_count"),
        ("conditioning", Conditioning),
        *_pointers("images", "out"),
        *_integers("batch", "height", "width", "threads"),
        *_pointers("scratch"),
    ]


STRUCTS = (
    *(Product, Matrix, Norm, Attention, Layer, Decoder),
    *(Convolution, Conditioning, ConvStem),
)
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "iafm_product": (None, [POINTER(Product)]),
    "iafm_pack_panels": (None, [c_void_p, c_int64, c_int64, c_void_p]),
    "iafm_linear": (None, [POINTER(Matrix), c_void_p, c_int64, c_void_p]),
    "iafm_layer_norm": (None, [POINTER(Norm), c_void_p, c_void_p, c_int64, c_int64]),
    "iafm_attention_scratch": (c_int64, [c_int64, c_int64, c_int64]),
    "iafm_attention": (None, [POINTER(Attention)]),
    "iafm_gelu": (None, [c_void_p, c_int64]),
    "iafm_decoder_scratch": (c_int64, [POINTER(Decoder)]),
    "iafm_decoder": (None, [POINTER(Decoder)]),
    "iafm_conv_stem_scratch": (c_int64, [POINTER(ConvStem)]),
    "iafm_conv_stem": (None, [POINTER(ConvStem)]),
}
"""(result, arguments) of every exported function."""

"""The compact models' convolutions and layers in float32, computed by our own code: `kernels/compact`.

Each picture and each player is computed by one thread from beginning to end, so a player alone takes one core, whatever
the number of threads, and in a batch gets the numbers it gets alone.
"""

from __future__ import annotations

import logging
from ctypes import POINTER, Structure, byref, c_int64, c_void_p
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.cpu.arena import Arena
from agent_core.cpu.build import KernelError, library
from agent_core.model import IAFM
from agent_core.model.block import Block
from agent_core.model.conv_stem import VisionTower
from agent_core.model.decoder import Decoder

logger = logging.getLogger(__name__)

_STEP = 32
"""Widths and heads are multiples of this: what registers hold side by side."""
_WIDEST = 256
"""A player of a wider model is better off with all threads, which torch gives it."""
_EPSILON = 1e-5
_ROOM = 64
"""Where a thread's numbers begin, in bytes: at a line of memory."""


class _Matrix(Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("packed", "bias")),
        *((name, c_int64) for name in ("inner", "outer")),
    ]


class _Norm(Structure):
    _fields_ = [("weight", c_void_p), ("bias", c_void_p)]


class _Convolution(Structure):
    _fields_ = [
        ("matrix", _Matrix),
        ("kernel", c_int64 * 2),
        ("stride", c_int64 * 2),
        *((name, c_int64) for name in ("border", "relu")),
    ]


class _Stem(Structure):
    _fields_ = [
        ("layers", POINTER(_Convolution)),
        ("norm", _Norm),
        ("count", c_int64),
        *((name, c_void_p) for name in ("pictures", "cells")),
        *((name, c_int64) for name in ("number", "height", "width", "threads")),
        ("scratch", c_void_p),
    ]


class _Layer(Structure):
    _fields_ = [
        *((name, _Norm) for name in ("norm", "feed_norm")),
        *((name, _Matrix) for name in ("qkv", "out", "feed_in", "feed_out")),
    ]


class _Layers(Structure):
    _fields_ = [
        ("layers", POINTER(_Layer)),
        ("norm", _Norm),
        *((name, c_int64) for name in ("count", "heads", "size")),
        *((name, c_void_p) for name in ("x", "y")),
        *((name, c_int64) for name in ("batch", "rows", "tail", "threads")),
        ("cache", c_void_p),
        *((name, c_int64) for name in ("layer", "part", "memory", "head")),
        *((name, c_void_p) for name in ("row", "slot", "column")),
        *((name, c_int64) for name in ("used", "column_batch", "column_row")),
        ("table", c_void_p),
        ("columns", c_int64),
        ("scratch", c_void_p),
    ]


class _Own:
    """Weights laid out for the code, and room to compute in."""

    def __init__(self) -> None:
        self._library = library("compact")
        self._library.pack_stripes.argtypes = [c_void_p, c_int64, c_int64, c_void_p]
        self._kept: list[Tensor] = []
        self._arena = Arena(4 << 20)
        self._room = torch.empty(0)
        self.operations = 0
        """Multiplications and additions so far."""

    def _numbers(self, numbers: Tensor) -> int:
        """Where they lie, for as long as this lives."""
        self._kept.append(numbers.detach().float().contiguous())
        return self._kept[-1].data_ptr()

    def _matrix(self, weight: Tensor, bias: Tensor) -> _Matrix:
        """(outer, inner), (outer,)."""
        outer, inner = weight.shape
        weight = weight.detach().float().contiguous()
        packed = self._arena.take(weight.nbytes)
        self._library.pack_stripes(weight.data_ptr(), outer, inner, packed.data_ptr())
        self._kept.append(packed)
        return _Matrix(packed.data_ptr(), self._numbers(bias), inner, outer)

    def _norm(self, layer: nn.Module) -> _Norm:
        assert isinstance(layer, nn.LayerNorm)
        assert layer.eps == _EPSILON
        return _Norm(self._numbers(layer.weight), self._numbers(layer.bias))

    def _room_for(self, numbers: int) -> int:
        """Where so many numbers may be written."""
        if len(self._room) < numbers + _ROOM // 4:
            self._room = torch.empty(numbers + _ROOM // 4)
        return -(-self._room.data_ptr() // _ROOM) * _ROOM


class OwnStem(_Own):
    """A tower's convolutions and the norm after them, weights copied.

    Raises `KernelError` where this machine cannot.
    """

    def __init__(self, tower: VisionTower, config: ModelConfig) -> None:
        super().__init__()
        self._library.run_stem.argtypes = self._library.stem_scratch.argtypes = [POINTER(_Stem)]
        self._library.stem_scratch.restype = c_int64
        found = [layer for layer in tower.stem if isinstance(layer, nn.Conv2d)]
        layers = [*(self._layer(layer, relu=True) for layer in found), self._layer(tower.cells)]
        self._layers = (_Convolution * len(layers))(*layers)
        self._after = self._norm(tower.norm)
        self._size = config.frame_height, config.frame_width
        self._out = (config.pooled_grid[0] * config.pooled_grid[1], config.width)
        self._arena.settle()
        self._operations = _of_a_picture([*found, tower.cells], self._size)

    def __call__(self, frames: Tensor) -> Tensor:
        """(F, H, W, 3) uint8 -> (F, cells, D). Raises `ValueError` for frames of another size."""
        if frames.shape[1:] != (*self._size, 3) or frames.dtype != torch.uint8:
            raise ValueError(f"frames are {tuple(frames.shape)}, wanted (F, {self._size}, 3) uint8")
        frames = frames.contiguous()
        cells = torch.empty(len(frames), *self._out)
        stem = _Stem(
            self._layers, self._after, len(self._layers), frames.data_ptr(), cells.data_ptr(),
            len(frames), *self._size, torch.get_num_threads(),
        )  # fmt: skip
        stem.scratch = self._room_for(self._library.stem_scratch(byref(stem)))
        self._library.run_stem(byref(stem))
        self.operations += len(frames) * self._operations
        return cells

    def _layer(self, layer: nn.Conv2d, *, relu: bool = False) -> _Convolution:
        assert layer.bias is not None
        weight = layer.weight.permute(0, 2, 3, 1).flatten(1)  # as pixels lie: channels last
        sizes = ((c_int64 * 2)(*size) for size in (layer.kernel_size, layer.stride))
        matrix = self._matrix(weight, layer.bias)
        return _Convolution(matrix, *sizes, int(layer.padding[0]), int(relu))


class OwnDecoder(_Own):
    """A decoder's blocks and the norm after them, weights copied. Raises `KernelError` where this machine cannot."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self._library.run_layers.argtypes = [POINTER(_Layers)]
        self._library.layers_scratch.argtypes = [POINTER(_Layers)]
        self._library.layers_scratch.restype = c_int64
        found = [block for block in decoder.blocks if isinstance(block, Block)]
        self._layers = (_Layer * len(found))(*map(self._layer, found))
        self._after = self._norm(decoder.norm)
        self._arena.settle()
        self._count, self._heads = len(found), found[0].heads
        unseen = decoder.time_bias.new_full((self._heads, 1), float("-inf"))
        table = torch.cat([unseen, decoder.time_bias], 1)
        self._table, self._columns = self._numbers(table), table.shape[1]

    def extend(
        self,
        x: Tensor,
        columns: Tensor,
        cache: Tensor,
        rows: Tensor,
        slots: Tensor,
        tail: int | None,
    ) -> Tensor:
        """As `Decoder.extend`, `rows` (B,) an index."""
        x, rows, slots = x.contiguous(), rows.contiguous(), slots.contiguous()
        columns = columns if columns.stride(2) == 1 else columns.contiguous()
        assert cache.stride()[4:] == (cache.shape[5], 1)
        batch, count, width = x.shape
        tail = tail or count
        y = x.new_empty(batch, tail, width)
        stack = _Layers(
            self._layers, self._after, self._count, self._heads, width // self._heads, x.data_ptr(), y.data_ptr(),
            batch, count, tail, torch.get_num_threads(), cache.data_ptr(), *cache.stride()[:4],
            rows.data_ptr(), slots.data_ptr(), columns.data_ptr(),
            columns.shape[2], *columns.stride()[:2], self._table, self._columns,
        )  # fmt: skip
        stack.scratch = self._room_for(self._library.layers_scratch(byref(stack)))
        self._library.run_layers(byref(stack))
        self.operations += self._operations(stack, width)
        return y

    def _operations(self, stack: _Layers, width: int) -> int:
        later = 2 * stack.used * width + 9 * width * width  # all but queries, keys and values
        every = stack.rows * (3 * width * width + later)
        less = (stack.rows - stack.tail) * later
        return int(2 * stack.batch * (self._count * every - less))

    def _layer(self, block: Block) -> _Layer:
        """Queries are divided by the root of their length here, not at every step."""
        size = block.qkv.weight.new_ones(block.qkv.out_features, 1)
        width = block.qkv.in_features
        size[:width] = (width // block.heads) ** -0.5
        return _Layer(
            self._norm(block.attention_norm),
            self._norm(block.mlp_norm),
            self._matrix(block.qkv.weight * size, block.qkv.bias * size[:, 0]),
            *(
                self._matrix(layer.weight, layer.bias)
                for layer in (block.attention_out, block.mlp_in, block.mlp_out)
            ),
        )


class OwnHead(_Own):
    """Scores of ids (V) from what the decoder leaves, weights copied: torch would wake threads for a few rows.

    Raises `KernelError` where this machine cannot.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self._library.rows_by_matrix.argtypes = [POINTER(_Matrix), c_void_p, c_int64, c_void_p]
        self._ids = len(bias)
        more = -self._ids % _STEP
        weight, bias = F.pad(weight, (0, 0, 0, more)), F.pad(bias, (0, more))
        self._head = self._matrix(weight, bias)
        self._arena.settle()

    def __call__(self, hidden: Tensor) -> Tensor:
        """(B, Q, D) -> (B, Q, V)."""
        hidden = hidden.contiguous()
        batch, count, _ = hidden.shape
        scores = hidden.new_empty(batch, count, self._head.outer)
        self._library.rows_by_matrix(
            byref(self._head), hidden.data_ptr(), batch * count, scores.data_ptr()
        )
        self.operations += 2 * batch * count * self._head.inner * self._ids
        return scores[..., : self._ids]


def _of_a_picture(layers: list[nn.Conv2d], size: tuple[int, int]) -> int:
    """Multiplications and additions that convolutions take."""
    total = 0
    for layer in layers:
        borders = [int(n) for n in layer.padding]
        places = zip(size, borders, layer.kernel_size, layer.stride, strict=True)
        height, width = ((n + 2 * p - k) // s + 1 for n, p, k, s in places)
        total += 2 * height * width * layer.weight.numel()
        size = height, width
    return total


def can_own(config: ModelConfig, device: torch.device) -> bool:
    """Whether our own code computes such a decoder here."""
    whole = config.width % _STEP == 0 and config.width // config.heads % _STEP == 0
    fits = not config.is_vit_opt and whole and config.width <= _WIDEST
    return fits and device.type == "cpu" and reason_against() is None


def can_own_stem(config: ModelConfig) -> bool:
    """Whether our own code computes such convolutions: plain ones, whose channels fill registers."""
    widths = *config.stem_widths, config.width
    plain = config.activation == "relu" and not any(config.stem_blocks)
    return plain and not any(width % _STEP for width in widths)


def use_own_code(model: IAFM) -> tuple[OwnStem | OwnDecoder, ...]:
    """Have what it can be computed by our own code, in place."""
    vision, decoder = model.vision, model.decoder
    assert isinstance(vision, VisionTower)
    layers = own_decoder(decoder)
    return (own_stem(vision, model.config), layers) if can_own_stem(model.config) else (layers,)


def own_decoder(decoder: Decoder) -> OwnDecoder:
    """Put our own code in the place of a decoder's layers."""
    own = OwnDecoder(decoder)
    decoder.custom_forward, decoder.blocks, decoder.norm = (
        own.extend,
        nn.ModuleList(),
        nn.Identity(),
    )
    return own


def own_stem(tower: VisionTower, config: ModelConfig) -> OwnStem:
    """Put our own code in the place of a tower's convolutions."""
    own = OwnStem(tower, config)
    tower.custom_forward, tower.stem, tower.norm = own, nn.Sequential(), nn.Identity()
    return own


@lru_cache(maxsize=1)
def reason_against() -> str | None:
    """Why our own code is not used here, in words; None where it is: it was compiled, loaded, and agrees with torch."""
    try:
        apart = _distance_to_torch()
    except KernelError as error:
        logger.info("torch computes compact models: %s", error)
        return str(error)
    if not apart <= _APART:
        logger.warning("torch computes compact models: our own code is %.3g apart", apart)
        return f"it gives other numbers than torch ({apart:.3g})"
    return None


_APART = 1e-4
"""How far outcomes may be from torch's, where numbers are around one: float32 keeps seven digits."""


@torch.inference_mode()
def _distance_to_torch() -> float:
    some = torch.Generator().manual_seed(0)
    config = ModelConfig(
        width=64, heads=2, layers=2, frame_height=16, frame_width=32, pooled_grid=(1, 2),
        stem_widths=(32, 32, 32), stem_strides=(4, 2, 1),
    )  # fmt: skip
    tower, decoder = VisionTower(config), Decoder(config)
    for part in (*tower.parameters(), *decoder.parameters()):
        part.copy_(torch.randn(part.shape, generator=some) / 8)
    frames = torch.randint(0, 256, (3, 16, 32, 3), generator=some, dtype=torch.uint8)
    x = torch.randn(2, 5, 64, generator=some)
    columns = torch.randint(-1, config.context_frames, (2, 5, 40), generator=some).short()
    columns[:, :, 0] = 0
    earlier = torch.randn(2, 2, 2, 2, 40, 32, generator=some)
    slots = torch.stack([torch.randperm(40, generator=some)[:5] for _ in range(2)])
    theirs = (
        tower.encode_frame(frames),
        decoder.forward_cached(x, columns, earlier.clone(), slice(None), slots, last_n=3),
    )
    own_stem(tower, config), own_decoder(decoder)
    ours = (
        tower.encode_frame(frames),
        decoder.forward_cached(x, columns, earlier.clone(), slice(None), slots, last_n=3),
    )
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))

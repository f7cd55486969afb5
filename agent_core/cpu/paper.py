"""The paper's layers, computed by our own code where a processor multiplies bfloat16: `kernels/paper`.

A stack of layers is one call. Weights are of bfloat16 or whole numbers (`agent_core.cpu.int8` tells which), laid out once.
What attention found is multiplied in bfloat16 either way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p
from functools import lru_cache

import torch
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.cpu.arena import Arena
from agent_core.cpu.build import KernelError, Units, library
from agent_core.cpu.int8 import ZERO_POINT, Calibrator, QuantParams, quantize_weight, smooth_quant
from agent_core.model import IAFM
from agent_core.model.block import QUICK, Attention, Block, quick_gelu
from agent_core.model.vit import SpaceTimeBlock, TemporalKVCache, ViTower

logger = logging.getLogger(__name__)

HEAD = 64
"""Numbers of a head, as CLIP and OPT have them: the only size the code knows."""
_MOST_FRAMES = 16
_PAGE = 4096
_BFLOAT16, _UINT8 = range(2)
_RELU, _SWISH = range(2)


class _Matrix(Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("packed", "scale", "bias", "norm_weight", "norm_bias")),
        *((name, c_float) for name in ("epsilon", "becomes", "zero")),
        *((name, c_int64) for name in ("kind", "after", "inner", "outer")),
    ]


class _Layer(Structure):
    _fields_ = [
        (name, _Matrix) for name in ("time_qkv", "time_out", "qkv", "out", "feed_in", "feed_out")
    ]


class _Stack(Structure):
    _fields_ = [
        ("layers", POINTER(_Layer)),
        *((name, c_int64) for name in ("count", "heads")),
        *((name, c_void_p) for name in ("x", "y")),
        *((name, c_int64) for name in ("batch", "rows", "tail", "threads")),
        ("cache", c_void_p),
        *((name, c_int64) for name in ("memories", "slots", "used")),
        *((name, c_void_p) for name in ("memory", "slot", "bias")),
        *((name, c_int64) for name in ("bias_batch", "bias_row")),
        ("earlier", c_void_p),
        ("frames", c_int64),
        *((name, c_void_p) for name in ("frame", "frames_bias", "scratch")),
    ]


class OwnLayers:
    """Blocks as our own code computes them, in bfloat16, or with a calibrator in whole numbers. Weights are copied.

    By the best `units` there are, or those asked for. Raises `KernelError` where this machine cannot.
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        calibrator: Calibrator | None = None,
        units: Units | None = None,
    ) -> None:
        self._library = library("paper", units)
        self._library.pack_matrix.argtypes = [c_void_p, c_int64, c_int64, c_void_p]
        for name in ("run_stack", "stack_scratch"):
            getattr(self._library, name).argtypes = [POINTER(_Stack)]
        self._library.stack_scratch.restype = c_int64
        self._kept: list[Tensor] = []
        self._arena = Arena(64 << 20)
        self._calibrator = calibrator
        found = [block for block in blocks if isinstance(block, Block)]
        self._heads, self._count = found[0].heads, len(found)
        self._layers = (_Layer * len(found))(*map(self._layer, found))
        self._arena.settle()
        self._room = torch.empty(0, dtype=torch.uint8)
        self.operations = 0
        """Multiplications and additions so far."""

    def see(self, x: Tensor, memory: TemporalKVCache | None) -> Tensor:
        """New pictures (F, P, D) through an encoder's layers, over time where there is a memory."""
        stack = self._stack(x)
        kept = []
        if memory is not None:
            rows, block = memory.slots, memory.frame_slot
            row = torch.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            frame = torch.tensor([block]) if isinstance(block, int) else block
            kept = [row, frame, memory.mask.contiguous()]
            stack.memory, stack.frame, stack.frames_bias = (one.data_ptr() for one in kept)
            stack.earlier = memory.kv.data_ptr()
            stack.memories, stack.frames = memory.kv.shape[2], memory.kv.shape[5]
        return self._run(stack, x, x.shape[1])

    def extend(
        self,
        x: Tensor,
        columns: Tensor,
        cache: Tensor,
        rows: Tensor,
        slots: Tensor,
        tail: int | None,
    ) -> Tensor:
        """New tokens (B, Q, D) through a decoder's layers, against a cache (layers, 2, rows, heads, slots, h).

        Columns (B, Q, L) are -1 where nothing is seen. Of the last `tail` tokens the outcome is wanted.
        """
        stack = self._stack(x)
        rows, slots = rows.contiguous(), slots.contiguous()
        bias = x.new_zeros(columns.shape).masked_fill_(columns < 0, float("-inf"))
        stack.cache, stack.memory, stack.slot = cache.data_ptr(), rows.data_ptr(), slots.data_ptr()
        stack.memories, stack.slots, stack.used = (
            cache.shape[2],
            cache.stride(3) // HEAD,
            bias.shape[2],
        )
        stack.bias, stack.bias_batch, stack.bias_row = (
            bias.data_ptr(),
            bias.stride(0),
            bias.stride(1),
        )
        return self._run(stack, x, tail or x.shape[1])

    def _stack(self, x: Tensor) -> _Stack:
        batch, rows, _ = x.shape
        threads = torch.get_num_threads()
        return _Stack(
            layers=self._layers, count=self._count, heads=self._heads, batch=batch, rows=rows, threads=threads
        )  # fmt: skip

    def _run(self, stack: _Stack, x: Tensor, tail: int) -> Tensor:
        x = x.contiguous()
        y = x.new_empty(x.shape[0], tail, x.shape[2])
        stack.x, stack.y, stack.tail = x.data_ptr(), y.data_ptr(), tail
        needed = self._library.stack_scratch(byref(stack)) + _PAGE
        if len(self._room) < needed:
            self._room = torch.empty(needed, dtype=torch.uint8)
        stack.scratch = -(-self._room.data_ptr() // _PAGE) * _PAGE
        self._library.run_stack(byref(stack))
        self.operations += self._operations(stack)
        return y

    def _operations(self, stack: _Stack) -> int:
        width, last = self._heads * HEAD, stack.tail - stack.rows
        over_time = 4 * width * width + 2 * stack.frames * width if stack.earlier else 0
        keys = stack.used or stack.rows
        later = 2 * keys * width + 9 * width * width  # all but queries, keys and values
        every = stack.rows * (3 * width * width + over_time + later)
        return int(2 * stack.batch * (self._count * every + last * later))

    def _layer(self, block: Block) -> _Layer:
        layer = _Layer(qkv=self._after_norm(block), out=self._plain(block.attention_out))
        layer.feed_in, layer.feed_out = self._feed_forward(block)
        time = block.time if isinstance(block, SpaceTimeBlock) else None
        if time is not None:
            layer.time_qkv, layer.time_out = self._after_norm(time), self._plain(time.attention_out)
        return layer

    def _after_norm(self, part: Attention) -> _Matrix:
        if self._calibrator is None or not self._calibrator.has_seen(part.qkv):
            norm = part.attention_norm.weight, part.attention_norm.bias
            return self._matrix(part.qkv.weight, part.qkv.bias, norm=norm)
        return self._whole_after_norm(
            part.attention_norm, part.qkv, part.qkv.bias, 1.0, self._calibrator
        )

    def _plain(self, layer: nn.Linear) -> _Matrix:
        return self._matrix(layer.weight, layer.bias)

    def _feed_forward(self, block: Block) -> tuple[_Matrix, _Matrix]:
        """quick_gelu(y) = swish(1.702 y) / 1.702: the first matrix's outcomes are made larger, the second's smaller."""
        norm, first, second = block.mlp_norm, block.mlp_in, block.mlp_out
        quick = block.activation is quick_gelu
        larger, after = (QUICK, _SWISH) if quick else (1.0, _RELU)
        shift = larger * first.bias.float()
        if self._calibrator is None or not self._calibrator.has_seen(first):
            size = torch.full((len(shift),), larger)
            into = self._matrix(first.weight, shift, size, (norm.weight, norm.bias))
            into.after = after
            size = torch.full((second.out_features,), 1 / larger)
            return into, self._matrix(second.weight, second.bias, size)
        between = QuantParams.from_range(*self._calibrator.range(second))
        into = self._whole_after_norm(norm, first, shift, larger, self._calibrator)
        into.after, into.becomes, into.zero = (
            after,
            1 / (between.scale * larger),
            between.zero_point,
        )
        whole, scale = quantize_weight(second.weight.float())
        return into, self._whole(whole, second.bias, scale * between.scale, between.zero_point)

    def _whole_after_norm(
        self,
        norm: nn.LayerNorm,
        layer: nn.Linear,
        bias: Tensor,
        larger: float,
        calibrator: Calibrator,
    ) -> _Matrix:
        """Outcomes `larger` times as large."""
        weight, shift, matrix = smooth_quant(norm, layer, calibrator)
        whole, scale = quantize_weight(matrix)
        return self._whole(whole, bias, larger * scale, ZERO_POINT, (weight, shift + ZERO_POINT))

    def _whole(
        self,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor,
        zero: int,
        norm: tuple[Tensor, Tensor] | None = None,
    ) -> _Matrix:
        """(outer, inner) of int8, for numbers from 0 to 255 of which `zero` stands for 0."""
        bias = bias.float() - zero * scale * weight.float().sum(1)
        return self._matrix(weight, bias, scale, norm, _UINT8)

    def _matrix(
        self,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor | None = None,
        norm: tuple[Tensor, Tensor] | None = None,
        kind: int = _BFLOAT16,
    ) -> _Matrix:
        """(outer, inner) of bfloat16 or int8; `scale` (outer) tells what one is worth."""
        if kind == _BFLOAT16:
            weight = weight.detach().to(torch.bfloat16)
        scale = torch.ones(len(weight)) if scale is None else scale
        packed = self._arena.take(weight.nbytes)
        bytes_of_row = weight.nbytes // len(weight)
        weight = weight.contiguous()
        self._library.pack_matrix(weight.data_ptr(), len(weight), bytes_of_row, packed.data_ptr())
        sizes = [scale, bias, *(norm or ())]
        kept = [packed, *(one.detach().float().contiguous() for one in sizes)]
        self._kept += kept
        outer, inner = weight.shape
        return _Matrix(
            *(one.data_ptr() for one in kept), *[None] * (5 - len(kept)), 1e-5,
            kind=kind, inner=inner, outer=outer, becomes=1.0,
        )  # fmt: skip


def can_own(config: ModelConfig, device: torch.device) -> bool:
    """Whether our own code computes such layers here."""
    right_size = config.width == config.heads * HEAD and config.context_frames <= _MOST_FRAMES
    fits = config.is_vit_opt and right_size and device.type == "cpu"
    return fits and reason_against() is None


def use_own_layers(model: IAFM, calibrator: Calibrator | None) -> tuple[OwnLayers, OwnLayers]:
    """Have our own code compute the blocks of encoder and decoder, in place; with a calibrator in int8."""
    vision, decoder = model.vision, model.decoder
    assert isinstance(vision, ViTower)
    see, extend = (OwnLayers(part.blocks, calibrator) for part in (vision, decoder))
    vision.custom_forward, decoder.custom_forward = see.see, extend.extend
    vision.blocks, decoder.blocks = nn.ModuleList(), nn.ModuleList()
    return see, extend


@lru_cache(maxsize=1)
def reason_against() -> str | None:
    """Why our own code is not used here, in words; None where it is: it was compiled, loaded, and agrees with torch."""
    try:
        apart = _distance_to_torch()
    except KernelError as error:
        logger.info("torch computes all layers: %s", error)
        return str(error)
    if not apart <= _APART:
        logger.warning("torch computes all layers: our own code gives other numbers (%.3g)", apart)
        return f"it gives other numbers than torch ({apart:.3g})"
    return None


_APART = 0.05
"""How far outcomes may be from torch's, where numbers are around one: bfloat16 keeps three digits."""


@torch.inference_mode()
def _distance_to_torch() -> float:
    some = torch.Generator().manual_seed(0)
    block = SpaceTimeBlock(2 * HEAD, 2, temporal=True).to(torch.bfloat16)
    for part in block.parameters():
        part.copy_(torch.randn(part.shape, generator=some) / 8)
    x = torch.randn(1, 21, 2 * HEAD, generator=some).bfloat16()
    earlier = torch.randn(1, 2, 1, 21, 2, 9, HEAD, generator=some).bfloat16()
    seen = torch.zeros(9, 1, 1).bfloat16()
    ours, theirs = (
        TemporalKVCache(one, seen, slice(0, 1), 4) for one in (earlier.clone(), earlier)
    )
    out = OwnLayers([block]).see(x, ours)
    wanted = block(block.temporal_attention_cached(x, theirs, 0))
    scale = wanted.float().square().mean().sqrt()
    return float(((out - wanted).float() / scale).abs().max())

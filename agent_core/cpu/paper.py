"""CPU kernels of the paper's layers in bfloat16 and int8: `kernels/paper`, for AVX-512 or AMX.

A stack of layers is one call. Weights are bfloat16 or int8 (`agent_core.cpu.int8` has the scales), packed once; the
matrix after attention and attention itself are in bfloat16 either way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from ctypes import byref
from functools import lru_cache

import torch
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.cpu.arena import Arena
from agent_core.cpu.build import load_library
from agent_core.cpu.capability import Isa
from agent_core.cpu.int8 import ZERO_POINT, Calibrator, QuantParams, quantize_weight, smooth_quant
from agent_core.cpu.kernels.paper_structs import (
    BFLOAT16,
    HEAD_DIM,
    MAX_FRAMES,
    RELU,
    SILU,
    UINT8,
    Layer,
    Matrix,
    Transformer,
)  # fmt: skip
from agent_core.errors import KernelError
from agent_core.model import IAFM
from agent_core.model.block import QUICK, Attention, Block, quick_gelu
from agent_core.model.vit import SpaceTimeBlock, TemporalKVCache, ViTower

logger = logging.getLogger(__name__)

_PAGE = 4096
"""Alignment of scratch memory, in bytes."""


class CpuTransformer:
    """Blocks of an encoder or a decoder in bfloat16, or with a calibration (`calibrator`) in int8. Weights are copied.

    For the best instruction set there is, or the one asked for. Raises `KernelError` where this machine cannot.
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        calibrator: Calibrator | None = None,
        isa: Isa | None = None,
    ) -> None:
        self._library = load_library("paper", isa)
        self._tensors: list[Tensor] = []
        self._arena = Arena(64 << 20)
        self._calibrator = calibrator
        layers = [block for block in blocks if isinstance(block, Block)]
        self._heads, self._layer_count = layers[0].heads, len(layers)
        self._layers = (Layer * len(layers))(*map(self._layer, layers))
        self._arena.advise_huge_pages()
        self._scratch = torch.empty(0, dtype=torch.uint8)
        self.flops = 0
        """Multiplications and additions so far."""

    def encode_frames(self, x: Tensor, temporal_kv: TemporalKVCache | None) -> Tensor:
        """New images (B, P, D) through an encoder's layers, over time where there is a cache of earlier frames."""
        call = self._call(x)
        inputs = []
        if temporal_kv is not None:
            slots, frame = temporal_kv.slots, temporal_kv.frame_slot
            session = torch.arange(slots.start, slots.stop) if isinstance(slots, slice) else slots
            frame_slot = torch.tensor([frame]) if isinstance(frame, int) else frame
            inputs = [session, frame_slot, temporal_kv.mask.contiguous()]
            call.session, call.frame_slot, call.frame_mask = (one.data_ptr() for one in inputs)
            call.frame_cache = temporal_kv.kv.data_ptr()
            call.sessions, call.frames = temporal_kv.kv.shape[2], temporal_kv.kv.shape[5]
        return self._run(call, x, x.shape[1])

    def forward_cached(
        self,
        x: Tensor,
        bias_index: Tensor,
        cache: Tensor,
        batch_slots: Tensor,
        cache_slots: Tensor,
        last_n: int | None,
    ) -> Tensor:
        """New tokens (B, Q, D) through a decoder's layers, against a KV cache (layers, 2, sessions, heads, slots, h).

        `bias_index` (B, Q, L) is -1 where a slot is not attended; `batch_slots` (B,) are sessions, `cache_slots` (B, Q)
        where the new tokens' keys and values go. Returns the last `last_n` tokens (B, last_n, D), or all.
        """
        call = self._call(x)
        batch_slots, cache_slots = batch_slots.contiguous(), cache_slots.contiguous()
        mask = x.new_zeros(bias_index.shape).masked_fill_(bias_index < 0, float("-inf"))
        call.cache, call.session, call.slot = (
            cache.data_ptr(),
            batch_slots.data_ptr(),
            cache_slots.data_ptr(),
        )
        call.sessions, call.slots, call.keys = (
            cache.shape[2],
            cache.stride(3) // HEAD_DIM,
            mask.shape[2],
        )
        call.mask, call.mask_batch_stride, call.mask_row_stride = (
            mask.data_ptr(),
            mask.stride(0),
            mask.stride(1),
        )
        return self._run(call, x, last_n or x.shape[1])

    def _call(self, x: Tensor) -> Transformer:
        batch, tokens, _ = x.shape
        return Transformer(
            layers=self._layers, layer_count=self._layer_count, heads=self._heads,
            batch=batch, tokens=tokens, threads=torch.get_num_threads(),
        )  # fmt: skip

    def _run(self, call: Transformer, x: Tensor, last_n: int) -> Tensor:
        x = x.contiguous()
        y = x.new_empty(x.shape[0], last_n, x.shape[2])
        call.x, call.y, call.last_n = x.data_ptr(), y.data_ptr(), last_n
        needed = self._library.iafm_transformer_scratch(byref(call)) + _PAGE
        if len(self._scratch) < needed:
            self._scratch = torch.empty(needed, dtype=torch.uint8)
        call.scratch = -(-self._scratch.data_ptr() // _PAGE) * _PAGE
        self._library.iafm_transformer(byref(call))
        self.flops += self._flops_of(call)
        return y

    def _flops_of(self, call: Transformer) -> int:
        width, dropped = self._heads * HEAD_DIM, call.last_n - call.tokens
        over_time = 4 * width * width + 2 * call.frames * width if call.frame_cache else 0
        keys = call.keys or call.tokens
        after_qkv = 2 * keys * width + 9 * width * width
        every_layer = call.tokens * (3 * width * width + over_time + after_qkv)
        return int(2 * call.batch * (self._layer_count * every_layer + dropped * after_qkv))

    def _layer(self, block: Block) -> Layer:
        layer = Layer(qkv=self._qkv(block), out=self._output(block.attention_out))
        layer.mlp_in, layer.mlp_out = self._mlp(block)
        time = block.time if isinstance(block, SpaceTimeBlock) else None
        if time is not None:
            layer.time_qkv, layer.time_out = self._qkv(time), self._output(time.attention_out)
        return layer

    def _qkv(self, part: Attention) -> Matrix:
        """The matrix before attention, with the norm before it."""
        if self._calibrator is None or not self._calibrator.has_seen(part.qkv):
            norm = part.attention_norm.weight, part.attention_norm.bias
            return self._matrix(part.qkv.weight, part.qkv.bias, norm=norm)
        return self._int8_after_norm(
            part.attention_norm, part.qkv, part.qkv.bias, 1.0, self._calibrator
        )

    def _output(self, layer: nn.Linear) -> Matrix:
        return self._matrix(layer.weight, layer.bias)

    def _mlp(self, block: Block) -> tuple[Matrix, Matrix]:
        """quick_gelu(y) = silu(1.702 y) / 1.702: the first matrix's outputs are scaled up, the second's down."""
        norm, first, second = block.mlp_norm, block.mlp_in, block.mlp_out
        factor, activation = (QUICK, SILU) if block.activation is quick_gelu else (1.0, RELU)
        bias = factor * first.bias.float()
        if self._calibrator is None or not self._calibrator.has_seen(first):
            scale = torch.full((first.out_features,), factor)
            mlp_in = self._matrix(first.weight, bias, scale, (norm.weight, norm.bias))
            scale = torch.full((second.out_features,), 1 / factor)
            mlp_out = self._matrix(second.weight, second.bias, scale)
        else:
            hidden = QuantParams.from_range(*self._calibrator.range(second))
            mlp_in = self._int8_after_norm(norm, first, bias, factor, self._calibrator)
            mlp_in.requant_scale, mlp_in.zero_point = 1 / (hidden.scale * factor), hidden.zero_point
            weight, scale = quantize_weight(second.weight.float())
            mlp_out = self._int8(weight, second.bias, scale * hidden.scale, hidden.zero_point)
        mlp_in.activation = activation
        return mlp_in, mlp_out

    def _int8_after_norm(
        self,
        norm: nn.LayerNorm,
        layer: nn.Linear,
        bias: Tensor,
        factor: float,
        calibrator: Calibrator,
    ) -> Matrix:
        """A norm and the matrix after it, whose outputs are `factor` times as large."""
        norm_weight, norm_bias, weight = smooth_quant(norm, layer, calibrator)
        quantized, scale = quantize_weight(weight)
        return self._int8(
            quantized, bias, factor * scale, ZERO_POINT, (norm_weight, norm_bias + ZERO_POINT)
        )

    def _int8(
        self,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor,
        zero_point: int,
        norm: tuple[Tensor, Tensor] | None = None,
    ) -> Matrix:
        """(outputs, inputs) int8, for uint8 inputs of which `zero_point` stands for 0."""
        bias = bias.float() - zero_point * scale * weight.float().sum(1)
        return self._matrix(weight, bias, scale, norm, UINT8)

    def _matrix(
        self,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor | None = None,
        norm: tuple[Tensor, Tensor] | None = None,
        dtype: int = BFLOAT16,
    ) -> Matrix:
        """(outputs, inputs) to bfloat16, or int8 as it is; outputs are product * `scale` (outputs) + bias."""
        if dtype == BFLOAT16:
            weight = weight.detach().to(torch.bfloat16)
        weight = weight.contiguous()
        outputs, inputs = weight.shape
        packed = self._arena.allocate(weight.nbytes)
        self._library.iafm_pack_matrix(
            weight.data_ptr(), outputs, weight.nbytes // outputs, packed.data_ptr()
        )
        scale = torch.ones(outputs) if scale is None else scale
        vectors = [one.detach().float().contiguous() for one in (scale, bias, *(norm or ()))]
        self._tensors += [packed, *vectors]
        pointers = [one.data_ptr() for one in (packed, *vectors)]
        return Matrix(
            *pointers, *[None] * (5 - len(pointers)), 1e-5,
            dtype=dtype, inputs=inputs, outputs=outputs, requant_scale=1.0,
        )  # fmt: skip


def supports(config: ModelConfig, device: torch.device) -> bool:
    """Whether the kernels compute such layers on this machine."""
    has_size = config.width == config.heads * HEAD_DIM and config.context_frames <= MAX_FRAMES
    fits = config.is_vit_opt and has_size and device.type == "cpu"
    return fits and unavailable_reason() is None


def install(model: IAFM, calibrator: Calibrator | None) -> tuple[CpuTransformer, CpuTransformer]:
    """Put the kernels in the place of the encoder's and the decoder's blocks; with a calibration in int8."""
    vision, decoder = model.vision, model.decoder
    assert isinstance(vision, ViTower)
    encoder_layers, decoder_layers = (
        CpuTransformer(part.blocks, calibrator) for part in (vision, decoder)
    )
    vision.custom_forward, decoder.custom_forward = (
        encoder_layers.encode_frames,
        decoder_layers.forward_cached,
    )
    vision.blocks, decoder.blocks = nn.ModuleList(), nn.ModuleList()
    return encoder_layers, decoder_layers


@lru_cache(maxsize=1)
def unavailable_reason() -> str | None:
    """Why the kernels are not used here; None where they are: compiled, loaded, and in agreement with torch."""
    try:
        error = max_error_vs_torch()
    except KernelError as reason:
        logger.info("torch computes all layers: %s", reason)
        return str(reason)
    if not error <= _TOLERANCE:
        logger.warning("torch computes all layers: the kernels give other numbers (%.3g)", error)
        return f"they give other numbers than torch ({error:.3g})"
    return None


_TOLERANCE = 0.05
"""Largest error, in standard deviations of the output: bfloat16 keeps three digits."""


@torch.inference_mode()
def max_error_vs_torch(isa: Isa | None = None) -> float:
    """Of one small layer with attention over time, in standard deviations of the output. Raises `KernelError`."""
    random = torch.Generator().manual_seed(0)
    block = SpaceTimeBlock(2 * HEAD_DIM, 2, temporal=True).to(torch.bfloat16)
    for parameter in block.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=random) / 8)
    x = torch.randn(1, 21, 2 * HEAD_DIM, generator=random).bfloat16()
    cache = torch.randn(1, 2, 1, 21, 2, 9, HEAD_DIM, generator=random).bfloat16()
    mask = torch.zeros(9, 1, 1).bfloat16()
    kernel_memory, torch_memory = (
        TemporalKVCache(one, mask, slice(0, 1), 4) for one in (cache.clone(), cache)
    )
    actual = CpuTransformer([block], isa=isa).encode_frames(x, kernel_memory)
    expected = block(block.temporal_attention_cached(x, torch_memory, 0)).float()
    return float(((actual.float() - expected) / expected.square().mean().sqrt()).abs().max())

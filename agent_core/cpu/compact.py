"""CPU kernels of the compact models in float32: `kernels/compact`, convolutions and decoder, for AVX2 or AVX-512.

Each image and each session is computed by one thread from beginning to end, so a session alone takes one core,
whatever the number of threads, and in a batch gets the very numbers that it gets alone.
"""

from __future__ import annotations

import logging
from ctypes import byref, c_int64
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.cpu.arena import Arena
from agent_core.cpu.build import load_library
from agent_core.cpu.capability import Isa
from agent_core.cpu.kernels import compact_structs
from agent_core.cpu.kernels.compact_structs import (
    Conditioning,
    Convolution,
    ConvStem,
    Layer,
    Matrix,
    Norm,
)
from agent_core.errors import KernelError
from agent_core.model import IAFM
from agent_core.model.block import Block
from agent_core.model.conv_stem import VisionTower
from agent_core.model.decoder import Decoder

logger = logging.getLogger(__name__)

_PANEL = 32
"""Widths and heads are multiples of this: two of the widest vectors."""
_MAX_WIDTH = 256
"""A session of a wider model is better off with all threads, which torch gives it."""
_EPSILON = 1e-5
_ALIGNMENT = 64
"""Of scratch memory, in bytes: a cache line."""


class _Kernel:
    """A compiled library, packed weights and scratch memory."""

    def __init__(self, isa: Isa | None) -> None:
        self._library = load_library("compact", isa)
        self._tensors: list[Tensor] = []
        self._arena = Arena(4 << 20)
        self._buffer = torch.empty(0)
        self.flops = 0
        """Multiplications and additions so far."""

    def _pointer(self, tensor: Tensor) -> int:
        """To a float32 copy that lives as long as this."""
        self._tensors.append(tensor.detach().float().contiguous())
        return self._tensors[-1].data_ptr()

    def _matrix(self, weight: Tensor, bias: Tensor) -> Matrix:
        """(outputs, inputs), (outputs,)."""
        outputs, inputs = weight.shape
        weight = weight.detach().float().contiguous()
        packed = self._arena.allocate(weight.nbytes)
        self._library.iafm_pack_panels(weight.data_ptr(), outputs, inputs, packed.data_ptr())
        self._tensors.append(packed)
        return Matrix(packed.data_ptr(), self._pointer(bias), inputs, outputs)

    def _norm(self, layer: nn.Module) -> Norm:
        assert isinstance(layer, nn.LayerNorm)
        assert layer.eps == _EPSILON
        return Norm(self._pointer(layer.weight), self._pointer(layer.bias))

    def _scratch(self, size: int) -> int:
        """Address of `size` float32 numbers, aligned."""
        if len(self._buffer) < size + _ALIGNMENT // 4:
            self._buffer = torch.empty(size + _ALIGNMENT // 4)
        return -(-self._buffer.data_ptr() // _ALIGNMENT) * _ALIGNMENT


class CpuConvStem(_Kernel):
    """A tower's convolutions and the norm after them, weights copied.

    Raises `KernelError` where this machine cannot.
    """

    def __init__(self, tower: VisionTower, config: ModelConfig, isa: Isa | None = None) -> None:
        super().__init__(isa)
        convolutions = [layer for layer in tower.stem if isinstance(layer, nn.Conv2d)]
        layers = [
            *(self._convolution(layer, relu=True) for layer in convolutions),
            self._convolution(tower.cells, relu=False),
        ]
        self._layers = (Convolution * len(layers))(*layers)
        self._conditioned_layer = config.conditioned_stage
        bias = convolutions[self._conditioned_layer].bias
        assert bias is not None
        self._conditioned_bias = bias.detach().float().clone()
        self._final_norm = self._norm(tower.norm)
        self._size = config.frame_height, config.frame_width
        self._out = (config.pooled_grid[0] * config.pooled_grid[1], config.width)
        self._arena.advise_huge_pages()
        self._flops_per_frame = _convolution_flops([*convolutions, tower.cells], self._size)

    def __call__(self, frames: Tensor, conditioning: Tensor | None = None) -> Tensor:
        """(F, H, W, 3) uint8, and (F, C) of the instructions -> (F, cells, D).

        Raises `ValueError` for frames of another size.
        """
        if frames.shape[1:] != (*self._size, 3) or frames.dtype != torch.uint8:
            raise ValueError(f"frames are {tuple(frames.shape)}, wanted (F, {self._size}, 3) uint8")
        frames = frames.contiguous()
        cells = torch.empty(len(frames), *self._out)
        height, width = self._size
        shift = None if conditioning is None else conditioning + self._conditioned_bias
        text = Conditioning(self._conditioned_layer, _address(shift))
        call = ConvStem(
            layers=self._layers, norm=self._final_norm, layer_count=len(self._layers),
            conditioning=text, images=frames.data_ptr(), out=cells.data_ptr(),
            batch=len(frames), height=height, width=width, threads=torch.get_num_threads(),
        )  # fmt: skip
        call.scratch = self._scratch(self._library.iafm_conv_stem_scratch(byref(call)))
        self._library.iafm_conv_stem(byref(call))
        self.flops += len(frames) * self._flops_per_frame
        return cells

    def _convolution(self, layer: nn.Conv2d, *, relu: bool) -> Convolution:
        assert layer.bias is not None
        weight = layer.weight.permute(0, 2, 3, 1).flatten(1)  # channels last, as pixels lie
        kernel, stride = ((c_int64 * 2)(*size) for size in (layer.kernel_size, layer.stride))
        matrix = self._matrix(weight, layer.bias)
        return Convolution(matrix, kernel, stride, padding=int(layer.padding[0]), relu=int(relu))


class CpuDecoder(_Kernel):
    """A decoder's blocks and the norm after them, weights copied. Raises `KernelError` where this machine cannot."""

    def __init__(self, decoder: Decoder, isa: Isa | None = None) -> None:
        super().__init__(isa)
        blocks = [block for block in decoder.blocks if isinstance(block, Block)]
        self._layers = (Layer * len(blocks))(*map(self._layer, blocks))
        self._final_norm = self._norm(decoder.norm)
        self._arena.advise_huge_pages()
        self._layer_count, self._heads = len(blocks), blocks[0].heads
        masked = decoder.time_bias.new_full((self._heads, 1), float("-inf"))
        table = torch.cat([masked, decoder.time_bias], 1)
        self._bias_table, self._bias_columns = self._pointer(table), table.shape[1]

    def forward_cached(
        self,
        x: Tensor,
        columns: Tensor,
        cache: Tensor,
        rows: Tensor,
        slots: Tensor,
        tail: int | None,
    ) -> Tensor:
        """As `Decoder.extend`, `rows` (B,) an index: new tokens (B, Q, D) against the KV cache.

        Returns the last `tail` tokens (B, tail, D), or all.
        """
        x, rows, slots = x.contiguous(), rows.contiguous(), slots.contiguous()
        columns = columns if columns.stride(2) == 1 else columns.contiguous()
        assert cache.stride()[4:] == (cache.shape[5], 1)
        batch, tokens, width = x.shape
        last_n = tail or tokens
        y = x.new_empty(batch, last_n, width)
        layer_stride, kv_stride, session_stride, head_stride = cache.stride()[:4]
        bias_batch_stride, bias_row_stride = columns.stride()[:2]
        call = compact_structs.Decoder(
            layers=self._layers, norm=self._final_norm, layer_count=self._layer_count,
            heads=self._heads, head_dim=width // self._heads, x=x.data_ptr(), y=y.data_ptr(),
            batch=batch, tokens=tokens, last_n=last_n, threads=torch.get_num_threads(),
            cache=cache.data_ptr(), layer_stride=layer_stride, kv_stride=kv_stride,
            session_stride=session_stride, head_stride=head_stride,
            session=rows.data_ptr(), slot=slots.data_ptr(), bias_index=columns.data_ptr(),
            keys=columns.shape[2], bias_batch_stride=bias_batch_stride, bias_row_stride=bias_row_stride,
            bias_table=self._bias_table, bias_columns=self._bias_columns,
        )  # fmt: skip
        call.scratch = self._scratch(self._library.iafm_decoder_scratch(byref(call)))
        self._library.iafm_decoder(byref(call))
        self.flops += self._flops_of(call, width)
        return y

    def _flops_of(self, call: compact_structs.Decoder, width: int) -> int:
        after_qkv = 2 * call.keys * width + 9 * width * width
        every_layer = call.tokens * (3 * width * width + after_qkv)
        dropped = (call.tokens - call.last_n) * after_qkv
        return int(2 * call.batch * (self._layer_count * every_layer - dropped))

    def _layer(self, block: Block) -> Layer:
        """Queries are divided by the root of the head's size here, not at every step."""
        scale = block.qkv.weight.new_ones(block.qkv.out_features, 1)
        width = block.qkv.in_features
        scale[:width] = (width // block.heads) ** -0.5
        return Layer(
            self._norm(block.attention_norm),
            self._norm(block.mlp_norm),
            self._matrix(block.qkv.weight * scale, block.qkv.bias * scale[:, 0]),
            *(
                self._matrix(layer.weight, layer.bias)
                for layer in (block.attention_out, block.mlp_in, block.mlp_out)
            ),
        )


class CpuOutputHead(_Kernel):
    """Logits of ids (V) from the decoder's output, weights copied: torch would wake threads for a few rows.

    Raises `KernelError` where this machine cannot.
    """

    def __init__(self, weight: Tensor, bias: Tensor, isa: Isa | None = None) -> None:
        super().__init__(isa)
        self._ids = len(bias)
        padding = -self._ids % _PANEL
        weight, bias = F.pad(weight, (0, 0, 0, padding)), F.pad(bias, (0, padding))
        self._head = self._matrix(weight, bias)
        self._arena.advise_huge_pages()

    def __call__(self, hidden: Tensor) -> Tensor:
        """(B, Q, D) -> (B, Q, V)."""
        hidden = hidden.contiguous()
        batch, tokens, _ = hidden.shape
        logits = hidden.new_empty(batch, tokens, self._head.outputs)
        self._library.iafm_linear(
            byref(self._head), hidden.data_ptr(), batch * tokens, logits.data_ptr()
        )
        self.flops += 2 * batch * tokens * self._head.inputs * self._ids
        return logits[..., : self._ids]


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _convolution_flops(layers: list[nn.Conv2d], size: tuple[int, int]) -> int:
    """Multiplications and additions of one image's convolutions."""
    total = 0
    for layer in layers:
        padding = [int(n) for n in layer.padding]
        axes = zip(size, padding, layer.kernel_size, layer.stride, strict=True)
        height, width = ((n + 2 * p - k) // s + 1 for n, p, k, s in axes)
        total += 2 * height * width * layer.weight.numel()
        size = height, width
    return total


def supports(config: ModelConfig, device: torch.device) -> bool:
    """Whether the kernels compute such a decoder on this machine."""
    aligned = config.width % _PANEL == 0 and config.width // config.heads % _PANEL == 0
    fits = not config.is_vit_opt and aligned and config.width <= _MAX_WIDTH
    return fits and device.type == "cpu" and unavailable_reason() is None


def supports_stem(config: ModelConfig) -> bool:
    """Whether the kernels compute such convolutions: plain ones, whose channels fill whole vectors."""
    widths = *config.stem_widths, config.width
    plain = config.activation == "relu" and not any(config.stem_blocks)
    return plain and not any(width % _PANEL for width in widths)


def install(model: IAFM) -> tuple[CpuConvStem | CpuDecoder, ...]:
    """Put the kernels in the place of the layers that they compute."""
    vision, decoder = model.vision, model.decoder
    assert isinstance(vision, VisionTower)
    layers = install_decoder(decoder)
    if not supports_stem(model.config):
        return (layers,)
    return (install_stem(vision, model.config), layers)


def install_decoder(decoder: Decoder, isa: Isa | None = None) -> CpuDecoder:
    """Put the kernels in the place of a decoder's layers."""
    layers = CpuDecoder(decoder, isa)
    decoder.custom_forward, decoder.blocks, decoder.norm = (
        layers.forward_cached, nn.ModuleList(), nn.Identity(),
    )  # fmt: skip
    return layers


def install_stem(tower: VisionTower, config: ModelConfig, isa: Isa | None = None) -> CpuConvStem:
    """Put the kernels in the place of a tower's convolutions."""
    stem = CpuConvStem(tower, config, isa)
    tower.custom_forward, tower.stem, tower.norm = stem, nn.Sequential(), nn.Identity()
    return stem


@lru_cache(maxsize=1)
def unavailable_reason() -> str | None:
    """Why the kernels are not used here; None where they are: compiled, loaded, and in agreement with torch."""
    try:
        error = max_error_vs_torch()
    except KernelError as reason:
        logger.info("torch computes compact models: %s", reason)
        return str(reason)
    if not error <= _TOLERANCE:
        logger.warning(
            "torch computes compact models: the kernels give other numbers (%.3g)", error
        )
        return f"they give other numbers than torch ({error:.3g})"
    return None


_TOLERANCE = 1e-4
"""Largest error where numbers are around one: float32 keeps seven digits."""


@torch.inference_mode()
def max_error_vs_torch(isa: Isa | None = None) -> float:
    """Of a small stem and decoder, absolute. Raises `KernelError`."""
    random = torch.Generator().manual_seed(0)
    config = ModelConfig(
        width=64, heads=2, layers=2, frame_height=16, frame_width=32, pooled_grid=(1, 2),
        stem_widths=(32, 32, 32), stem_strides=(4, 2, 1),
    )  # fmt: skip
    tower, decoder = VisionTower(config), Decoder(config)
    for parameter in (*tower.parameters(), *decoder.parameters()):
        parameter.copy_(torch.randn(parameter.shape, generator=random) / 8)
    frames = torch.randint(0, 256, (3, 16, 32, 3), generator=random, dtype=torch.uint8)
    x = torch.randn(2, 5, 64, generator=random)
    columns = torch.randint(-1, config.context_frames, (2, 5, 40), generator=random).short()
    columns[:, :, 0] = 0
    cache = torch.randn(2, 2, 2, 2, 40, 32, generator=random)
    slots = torch.stack([torch.randperm(40, generator=random)[:5] for _ in range(2)])
    conditioning = torch.randn(3, 32, generator=random)

    def outputs() -> list[Tensor]:
        new_tokens = decoder.forward_cached(x, columns, cache.clone(), slice(None), slots, last_n=3)
        return [new_tokens, *(tower.encode_frame(frames, text) for text in (None, conditioning))]

    expected = outputs()
    install_stem(tower, config, isa), install_decoder(decoder, isa)
    return max(float((a - b).abs().max()) for a, b in zip(outputs(), expected, strict=True))

"""Quantization to int8: matrix products in whole numbers, weights a quarter of float32's size.

Every output channel of a matrix has its own scale. Inputs have one, told by what the layer was given in its first
passes (static scales: finding them anew at every call costs what whole numbers save). It is part of the norm before the
matrix, and the feed-forward stays in whole numbers from its first matrix to its second. What attention found would have
to be scaled for itself, which costs what is gained: that matrix, attention, norms and sums stay in bfloat16.

A processor without VNNI has no fast products for these, and none of bfloat16 for the rest. There FBGEMM, a part of
torch, multiplies int8 weights with inputs whose one scale is found at every call (dynamic quantization), all else stays
in float32, and no calibration is needed. The scale is that of all rows of a call, so players in one batch are rounded
together. One matrix of 768 x 3072 and one thread, FBGEMM held to AVX2, relative error beside it:

| rows | torch float32 | FBGEMM | error |
|---|---|---|---|
| 197 | 10.7 ms | 2.2 times as fast | 1.7 % |
| 16 | 1.1 ms | 2.7 times | 1.5 % |
| 3 | 0.5 ms | 5.1 times | 1.4 % |

In one run where both multiplied by VNNI, ONNX Runtime's dynamic products were 8.2, 5.8 and 8.9 times as fast as
float32, FBGEMM's 7.8, 5.8 and 9.2 times; it cannot be held to AVX2, so how it does there is not known. OpenVINO's
static products, held to AVX2, were 0.7, 0.9 and 1.5 times as fast. Neither is worth another dependency.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent_core.model.block import QUICK, Attention, Block, gelu, quick_gelu

_ACTIVATIONS = {
    torch.nn.functional.relu: ("relu", ""),
    gelu: ("gelu", "none"),
    quick_gelu: ("swish", ""),
}


@dataclass(frozen=True)
class QuantParams:
    """How numbers become whole ones: x / scale + zero_point, of `dtype`."""

    scale: float
    zero_point: int
    dtype: torch.dtype

    @classmethod
    def from_range(cls, low: float, high: float) -> QuantParams:
        """For an activation's outcome: all 256 steps between the least and the most that was seen."""
        low, high = min(low, 0.0), max(high, 1e-6)
        scale = (high - low) / 255
        return cls(scale, round(-low / scale), torch.uint8)


ZERO_POINT = 128
"""Which whole number stands for 0 behind a norm: bytes without a sign, which every processor multiplies fast."""
_NORM_OUTPUT = QuantParams(1.0, ZERO_POINT, torch.uint8)


def _matrices(part: Attention) -> tuple[nn.Linear, ...]:
    """Those that become whole numbers."""
    return (part.qkv, part.mlp_in, part.mlp_out) if isinstance(part, Block) else (part.qkv,)


class Calibrator:
    """Notes the least and the most that every matrix of a model's blocks is given, channel by channel."""

    def __init__(self, model: nn.Module) -> None:
        self._ranges: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._hooks = [
            layer.register_forward_pre_hook(self._note)
            for part in model.modules()
            if isinstance(part, Attention)
            for layer in _matrices(part)
        ]

    def _note(self, layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        least, most = given[0].float().flatten(0, -2).aminmax(dim=0)
        low, high = self._ranges.get(layer, (least, most))
        self._ranges[layer] = torch.minimum(low, least), torch.maximum(high, most)

    def has_seen(self, layer: nn.Module) -> bool:
        """Whether it was used at all (the pixel decoder is not, in play)."""
        return layer in self._ranges

    def range(self, layer: nn.Module) -> tuple[float, float]:
        """(least, most) input so far, over all channels."""
        low, high = self._ranges[layer]
        return float(low.min()), float(high.max())

    def channel_max(self, layer: nn.Module) -> Tensor:
        """(in,) largest input of each channel."""
        low, high = self._ranges[layer]
        return torch.maximum(-low, high).clamp(min=1e-5)

    def end(self) -> None:
        for hook in self._hooks:
            hook.remove()


class Int8Linear(nn.Module):
    """A linear layer in whole numbers; takes what `input_q` says, or floating ones of that size (rounded in place).

    With `output_q` the outcome stays whole; `activation` names an activation computed in the same pass.
    """

    def __init__(
        self,
        layer: nn.Linear,
        input_q: QuantParams,
        output_q: QuantParams | None = None,
        activation: tuple[str, str] = ("none", ""),
    ) -> None:
        super().__init__()
        whole, self._scale = quantize_weight(layer.weight.detach().float())
        self._weight = torch.ops.onednn.qlinear_prepack(whole, None)
        self._zero = torch.zeros(len(whole), dtype=torch.long)
        self._bias = None if layer.bias is None else layer.bias.detach().float()
        self._input_q, self._output_q, self._activation = input_q, output_q, activation

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(…, in) -> (…, out), added to `residual` where that is given."""
        input_q, output_q = self._input_q, self._output_q
        name, variant = self._activation
        if x.dtype != input_q.dtype:
            x = x.round_().add_(input_q.zero_point).clamp_(0, 255).to(input_q.dtype)
        begin = (x, input_q.scale, input_q.zero_point, self._weight, self._scale, self._zero)
        run = torch.ops.onednn.qlinear_pointwise
        out: Tensor
        if residual is not None:
            added = (residual, self._bias, 1.0, 0, residual.dtype, 1.0, 0)
            out = run.binary(*begin, *added, "add", 1.0, "none", [], "")
        elif output_q is not None:
            whole = (output_q.scale, output_q.zero_point, output_q.dtype)
            out = run(*begin, self._bias, *whole, name, [], variant)
        else:
            out = run(*begin, self._bias, 1.0, 0, torch.bfloat16, name, [], variant)
        return out


def quantize(model: nn.Module, calibrator: Calibrator) -> None:
    """Replace the matrices of every block in use, in place; `calibrator` has seen what they are given."""
    for part in model.modules():
        if isinstance(part, Attention) and calibrator.has_seen(part.qkv):
            _smooth(part.attention_norm, part.qkv, calibrator)
            _put(part, "qkv", Int8Linear(part.qkv, _NORM_OUTPUT))
            if isinstance(part, Block):
                _quantize_feed_forward(part, calibrator)


def quantize_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (out, in) as int8, and what one is worth in each row (out,)."""
    scale = weight.abs().amax(1).clamp(min=1e-8) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def smooth_quant(
    norm: nn.LayerNorm, layer: nn.Linear, calibrator: Calibrator
) -> tuple[Tensor, Tensor, Tensor]:
    """A norm's weight and bias and the matrix after it, so that the norm's outcome is the whole numbers to be.

    Channels that reach far take their size from the norm to the matrix, half way in powers, so that the others keep
    their precision (SmoothQuant, Xiao et al. 2022).
    """
    weight = layer.weight.float()
    size = calibrator.channel_max(layer)
    factor = (size / weight.abs().amax(0).clamp(min=1e-5)).sqrt()
    factor *= (size / factor).max() / 127
    return norm.weight.float() / factor, norm.bias.float() / factor, weight * factor


def _smooth(norm: nn.LayerNorm, layer: nn.Linear, calibrator: Calibrator) -> None:
    """The same in place."""
    scale, shift, weight = smooth_quant(norm, layer, calibrator)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    norm.weight.data, norm.bias.data = scale.to(norm.weight.dtype), shift.to(norm.bias.dtype)


def _quantize_feed_forward(block: Block, calibrator: Calibrator) -> None:
    """Both matrices and the activation between; quick_gelu(y) = swish(1.702 y) / 1.702."""
    first, second = block.mlp_in, block.mlp_out
    _smooth(block.mlp_norm, first, calibrator)
    became = between = QuantParams.from_range(*calibrator.range(second))
    if block.activation is quick_gelu:
        for part in (first.weight, first.bias):
            part.data = part.data * QUICK
        became = QuantParams(between.scale * QUICK, between.zero_point, between.dtype)
    _put(block, "mlp_in", Int8Linear(first, _NORM_OUTPUT, became, _ACTIVATIONS[block.activation]))
    _put(block, "mlp_out", Int8Linear(second, between))
    block.activation = nn.Identity()


def _put(part: Attention, name: str, layer: Int8Linear) -> None:
    setattr(part, name, layer)


class DynamicInt8Linear(nn.Module):
    """A linear layer of int8 weights whose input in float32 is scaled anew at every call, by FBGEMM.

    Inputs take 7 bits: without VNNI two products are added up in 16 bits, which 8 bits would overflow.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        bias = None if layer.bias is None else layer.bias.detach().float()
        self._packed = _fbgemm_prepack(layer.weight.detach().float(), bias)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(…, in) -> (…, out), added to `residual` where that is given."""
        out: Tensor = torch.ops.quantized.linear_dynamic(x, self._packed, True)
        return out if residual is None else out.add_(residual)


def quantize_dynamically(model: nn.Module) -> None:
    """Replace all matrices of every block, in place; for processors without VNNI."""
    for part in model.modules():
        if isinstance(part, Block):
            _fold_quick_gelu(part)
        if isinstance(part, Attention):
            for name, layer in list(part.named_children()):
                if isinstance(layer, nn.Linear):
                    setattr(part, name, DynamicInt8Linear(layer))


def _fold_quick_gelu(block: Block) -> None:
    """One pass instead of three: quick_gelu(y) = silu(1.702 y) / 1.702, the factors moved to the matrices."""
    if block.activation is quick_gelu:
        first, second = block.mlp_in, block.mlp_out
        for part in (first.weight, first.bias):
            part.data = part.data * QUICK
        second.weight.data = second.weight.data / QUICK
        block.activation = nn.SiLU(inplace=True)


def _fbgemm_prepack(weight: Tensor, bias: Tensor | None) -> object:
    """(out, in) and (out,) as FBGEMM reads them."""
    whole, scale = quantize_weight(weight)
    zeros = torch.zeros(len(whole), dtype=torch.long)
    engine = torch.backends.quantized.engine
    torch.backends.quantized.engine = "fbgemm"
    try:
        with (
            warnings.catch_warnings()
        ):  # torch will drop these tensors one day, and offers no other way yet
            warnings.simplefilter("ignore", UserWarning)
            quantized = torch._make_per_channel_quantized_tensor(whole, scale.double(), zeros, 0)
        packed: object = torch.ops.quantized.linear_prepack(quantized, bias)
    finally:
        torch.backends.quantized.engine = engine
    return packed

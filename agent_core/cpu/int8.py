"""How do a model's matrices run in whole numbers? Weights and inputs as int8, a quarter of float32's memory.

Every output channel of a matrix has its own scale. Inputs have one, told by what the layer was given in its first
passes (static scales: finding them anew at every call costs what whole numbers save). It is part of the norm before the
matrix, and the feed-forward stays in whole numbers from its first matrix to its second. What attention found would have
to be scaled for itself, which costs what is gained: that matrix, attention, norms and sums stay in bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent_core.model.block import QUICK, Attention, Block, gelu, quick_gelu

_AFTER = {torch.nn.functional.relu: ("relu", ""), gelu: ("gelu", "none"), quick_gelu: ("swish", "")}


def can_quantise(device: torch.device) -> bool:
    """Whether this machine's torch multiplies int8 matrices."""
    return device.type == "cpu" and "onednn" in torch.backends.quantized.supported_engines


@dataclass(frozen=True)
class Whole:
    """How numbers become whole ones: x / scale + zero, within `kind`."""

    scale: float
    zero: int
    kind: torch.dtype

    @classmethod
    def around(cls, low: float, high: float) -> Whole:
        """For an activation's outcome: all 256 steps between the least and the most that was seen."""
        low, high = min(low, 0.0), max(high, 1e-6)
        scale = (high - low) / 255
        return cls(scale, round(-low / scale), torch.uint8)


MIDDLE = 128
"""Which whole number stands for 0 behind a norm: bytes without a sign, which every processor multiplies fast."""
_AS_IT_IS = Whole(1.0, MIDDLE, torch.uint8)


def _matrices(part: Attention) -> tuple[nn.Linear, ...]:
    """Those that become whole numbers."""
    return (part.qkv, part.mlp_in, part.mlp_out) if isinstance(part, Block) else (part.qkv,)


class Watch:
    """Notes the least and the most that every matrix of a model's blocks is given, channel by channel."""

    def __init__(self, model: nn.Module) -> None:
        self._reach: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._hooks = [
            layer.register_forward_pre_hook(self._note)
            for part in model.modules()
            if isinstance(part, Attention)
            for layer in _matrices(part)
        ]

    def _note(self, layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        least, most = given[0].float().flatten(0, -2).aminmax(dim=0)
        low, high = self._reach.get(layer, (least, most))
        self._reach[layer] = torch.minimum(low, least), torch.maximum(high, most)

    def saw(self, layer: nn.Module) -> bool:
        """Whether it was used at all (the pixel decoder is not, in play)."""
        return layer in self._reach

    def reach(self, layer: nn.Module) -> tuple[float, float]:
        """(least, most) input so far, over all channels."""
        low, high = self._reach[layer]
        return float(low.min()), float(high.max())

    def size(self, layer: nn.Module) -> Tensor:
        """(in,) largest input of each channel."""
        low, high = self._reach[layer]
        return torch.maximum(-low, high).clamp(min=1e-5)

    def end(self) -> None:
        for hook in self._hooks:
            hook.remove()


class Int8Linear(nn.Module):
    """A linear layer in whole numbers; takes what `given` tells, or floating ones of that size (rounded in place).

    With `becomes` the outcome stays whole; `after` names an activation computed in the same pass.
    """

    def __init__(
        self,
        layer: nn.Linear,
        given: Whole,
        becomes: Whole | None = None,
        after: tuple[str, str] = ("none", ""),
    ) -> None:
        super().__init__()
        whole, self._scale = whole_numbers(layer.weight.detach().float())
        self._weight = torch.ops.onednn.qlinear_prepack(whole, None)
        self._zero = torch.zeros(len(whole), dtype=torch.long)
        self._bias = None if layer.bias is None else layer.bias.detach().float()
        self._given, self._becomes, self._after = given, becomes, after

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """(…, in) -> (…, out), added to `onto` where that is given."""
        given, becomes, (name, formula) = self._given, self._becomes, self._after
        if x.dtype != given.kind:
            x = x.round_().add_(given.zero).clamp_(0, 255).to(given.kind)
        begin = (x, given.scale, given.zero, self._weight, self._scale, self._zero)
        run = torch.ops.onednn.qlinear_pointwise
        out: Tensor
        if onto is not None:
            added = (onto, self._bias, 1.0, 0, onto.dtype, 1.0, 0)
            out = run.binary(*begin, *added, "add", 1.0, "none", [], "")
        elif becomes is not None:
            whole = (becomes.scale, becomes.zero, becomes.kind)
            out = run(*begin, self._bias, *whole, name, [], formula)
        else:
            out = run(*begin, self._bias, 1.0, 0, torch.bfloat16, name, [], formula)
        return out


def quantise(model: nn.Module, watch: Watch) -> None:
    """Replace the matrices of every block in use, in place; `watch` has seen what they are given."""
    for part in model.modules():
        if isinstance(part, Attention) and watch.saw(part.qkv):
            _smooth(part.attention_norm, part.qkv, watch)
            _put(part, "qkv", Int8Linear(part.qkv, _AS_IT_IS))
            if isinstance(part, Block):
                _quantise_feed_forward(part, watch)


def whole_numbers(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (out, in) as int8, and what one is worth in each row (out,)."""
    scale = weight.abs().amax(1).clamp(min=1e-8) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def smoothed(norm: nn.LayerNorm, layer: nn.Linear, watch: Watch) -> tuple[Tensor, Tensor, Tensor]:
    """A norm's weight and bias and the matrix after it, so that the norm's outcome is the whole numbers to be.

    Channels that reach far take their size from the norm to the matrix, half way in powers, so that the others keep
    their precision (SmoothQuant, Xiao et al. 2022).
    """
    weight = layer.weight.float()
    size = watch.size(layer)
    factor = (size / weight.abs().amax(0).clamp(min=1e-5)).sqrt()
    factor *= (size / factor).max() / 127
    return norm.weight.float() / factor, norm.bias.float() / factor, weight * factor


def _smooth(norm: nn.LayerNorm, layer: nn.Linear, watch: Watch) -> None:
    """The same in place."""
    scale, shift, weight = smoothed(norm, layer, watch)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    norm.weight.data, norm.bias.data = scale.to(norm.weight.dtype), shift.to(norm.bias.dtype)


def _quantise_feed_forward(block: Block, watch: Watch) -> None:
    """Both matrices and the activation between; quick_gelu(y) = swish(1.702 y) / 1.702."""
    first, second = block.mlp_in, block.mlp_out
    _smooth(block.mlp_norm, first, watch)
    became = between = Whole.around(*watch.reach(second))
    if block.activation is quick_gelu:
        for part in (first.weight, first.bias):
            part.data = part.data * QUICK
        became = Whole(between.scale * QUICK, between.zero, between.kind)
    _put(block, "mlp_in", Int8Linear(first, _AS_IT_IS, became, _AFTER[block.activation]))
    _put(block, "mlp_out", Int8Linear(second, between))
    block.activation = nn.Identity()


def _put(part: Attention, name: str, layer: Int8Linear) -> None:
    setattr(part, name, layer)

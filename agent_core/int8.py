"""How do a model's matrices run in whole numbers? Weights and inputs as int8, a quarter of float32's memory.

Every output channel of a matrix has its own scale. Inputs have one, told by what the layer was given in its first
passes (static scales: finding them anew at every call costs what whole numbers save). The feed-forward stays in whole
numbers from its first matrix to its second. Attention, norms and sums stay in bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent_core.model.block import Block, gelu, quick_gelu
from agent_core.packed import QUICK

_LAYERS = ("qkv", "attention_out", "feed_in", "feed_out")
_AFTER = {torch.nn.functional.relu: ("relu", ""), gelu: ("gelu", "tanh"), quick_gelu: ("swish", "")}


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

    @classmethod
    def even(cls, low: float, high: float) -> Whole:
        """For what lies on both sides of zero."""
        return cls(max(-low, high, 1e-6) / 127, 0, torch.int8)


class Watch:
    """Notes the least and the most that every matrix of a model's blocks is given, channel by channel."""

    def __init__(self, model: nn.Module) -> None:
        self._reach: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._hooks = [
            getattr(block, name).register_forward_pre_hook(self._note)
            for block in model.modules()
            if isinstance(block, Block)
            for name in _LAYERS
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
    """A linear layer in whole numbers; takes floating numbers or, as `given` says, whole ones.

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
        weight = layer.weight.detach().float()
        self._scale = weight.abs().amax(1).clamp(min=1e-8) / 127
        whole = (weight / self._scale[:, None]).round().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(whole, None)
        self._zero = torch.zeros(len(weight), dtype=torch.long)
        self._bias = None if layer.bias is None else layer.bias.detach().float()
        self._given, self._becomes, self._after = given, becomes, after

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """(…, in) -> (…, out), added to `onto` where that is given."""
        given, becomes, (name, formula) = self._given, self._becomes, self._after
        if x.dtype != given.kind:
            x = x if given.scale == 1 else x * (1 / given.scale)
            x = x.round().clamp_(-127, 127).to(given.kind)
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
    watch.end()
    for block in model.modules():
        if isinstance(block, Block) and watch.saw(block.qkv):
            given = _smoothed(block.attention_norm, block.qkv, watch)
            out = block.attention_out
            _put(block, "qkv", Int8Linear(block.qkv, given))
            _put(block, "attention_out", Int8Linear(out, Whole.even(*watch.reach(out))))
            _quantise_feed_forward(block, watch)


def _smoothed(norm: nn.LayerNorm, layer: nn.Linear, watch: Watch) -> Whole:
    """A norm and the matrix after it, in place, so that the norm's outcome is the whole numbers to be.

    Channels that reach far take their size from the norm to the matrix, half way in powers, so that the others keep
    their precision (SmoothQuant, Xiao et al. 2022).
    """
    weight = layer.weight.float()
    size = watch.size(layer)
    factor = (size / weight.abs().amax(0).clamp(min=1e-5)).sqrt()
    factor *= (size / factor).max() / 127
    layer.weight = nn.Parameter(weight * factor, requires_grad=False)
    for part in (norm.weight, norm.bias):
        part.data = (part.float() / factor).to(part.dtype)
    return Whole(1.0, 0, torch.int8)


def _quantise_feed_forward(block: Block, watch: Watch) -> None:
    """Both matrices and the activation between; quick_gelu(y) = swish(1.702 y) / 1.702."""
    first, second = block.feed_in, block.feed_out
    given, between = _smoothed(block.feed_norm, first, watch), Whole.around(*watch.reach(second))
    became, after = between, _AFTER[block.activation]
    if block.activation is quick_gelu:
        for part in (first.weight, first.bias):
            part.data = part.data * QUICK
        became = Whole(between.scale * QUICK, between.zero, between.kind)
    _put(block, "feed_in", Int8Linear(first, given, became, after))
    _put(block, "feed_out", Int8Linear(second, between))
    block.activation = nn.Identity()


def _put(block: Block, name: str, layer: Int8Linear) -> None:
    setattr(block, name, layer)

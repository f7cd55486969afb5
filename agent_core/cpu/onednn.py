"""oneDNN layers: weights laid out once as a processor's units read them, not at every call.

For inference alone: weights cannot be read back or trained. The layout and the fused activation are oneDNN's, as
torch's own compiler takes them when it freezes a model; here without a compiler at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from agent_core.model.block import QUICK, Block, gelu, quick_gelu
from agent_core.model.conv_stem import VisionTower


class PackedLinear(nn.Module):
    """A linear layer of bfloat16 weights; `activation` names an activation computed in the same pass."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, activation: str = "none", variant: str = ""
    ) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
        self._bias = None if bias is None else bias.detach()
        self._activation, self._variant = activation, variant

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(…, in) -> (…, out), added to `residual` where that is given."""
        run = torch.ops.mkldnn._linear_pointwise
        out: Tensor
        if residual is None:
            out = run(x, self._weight, self._bias, self._activation, [], self._variant)
        else:
            out = run.binary(x, residual, self._weight, self._bias, "add")
        return out


class PackedConvolution(nn.Module):
    """A convolution, laid out for pictures of `size` (F, C, H, W); it computes others as well, but slower."""

    def __init__(self, layer: nn.Conv2d, size: torch.Size) -> None:
        super().__init__()
        self._places = [int(n) for n in layer.padding], list(layer.stride), list(layer.dilation)
        weight = layer.weight.detach().contiguous(memory_format=torch.channels_last)
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight, *self._places, layer.groups, list(size)
        )
        self._bias = None if layer.bias is None else layer.bias.detach()
        self._groups = layer.groups

    def forward(self, x: Tensor) -> Tensor:
        """(F, C, H, W) -> (F, C', H', W')."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, *self._places, self._groups, "none", [], ""
        )
        return out


def _operations(x: torch.Size, *_: Any, out_shape: torch.Size, **__: Any) -> int:
    return 2 * x.numel() * out_shape[-1]


def _of_convolution(x: torch.Size, w: torch.Size, *_: Any, out_shape: torch.Size, **__: Any) -> int:
    return 2 * out_shape.numel() * w[1:].numel()


PACKED_FLOPS: dict[Any, Callable[..., int]] = {
    torch.ops.mkldnn._linear_pointwise: _operations,
    torch.ops.onednn.qlinear_pointwise: _operations,
    torch.ops.quantized.linear_dynamic: _operations,
    torch.ops.mkldnn._convolution_pointwise: _of_convolution,
}
"""For torch's counter of operations, which does not know them; int8's too."""


def prepack_convolutions(tower: VisionTower, pictures: Tensor) -> None:
    """Replace every convolution, in place; `pictures` (F, 3, H, W) are such as it will see."""
    found = [
        (module, name, child)
        for module in tower.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.Conv2d)
    ]
    sizes: dict[nn.Module, torch.Size] = {}
    hooks = [
        child.register_forward_pre_hook(lambda layer, given: sizes.update({layer: given[0].shape}))
        for *_, child in found
    ]
    tower(pictures)
    for hook, (module, name, child) in zip(hooks, found, strict=True):
        hook.remove()
        setattr(module, name, PackedConvolution(child, sizes[child]))


def prepack(model: nn.Module) -> None:
    """Replace every linear layer of a bfloat16 model, in place. In float32 that gains nothing."""
    for module in list(model.modules()):
        if isinstance(module, Block):
            fuse_activation(module)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, PackedLinear(child.weight, child.bias))


def fuse_activation(block: Block) -> None:
    """The activation of W x in the pass of W; quick_gelu(y) = swish(1.702 y) / 1.702."""
    if not isinstance(block.mlp_in, nn.Linear):
        return
    weight, bias = block.mlp_in.weight, block.mlp_in.bias
    if block.activation is torch.nn.functional.relu:
        folded = PackedLinear(weight, bias, "relu")
    elif block.activation is gelu:
        folded = PackedLinear(weight, bias, "gelu", "none")
    elif block.activation is quick_gelu:
        folded = PackedLinear(weight * QUICK, bias * QUICK, "swish")
        block.mlp_out.weight = nn.Parameter(block.mlp_out.weight / QUICK, requires_grad=False)
    else:
        return
    setattr(block, "mlp_in", folded)  # noqa: B010 - a module of another type
    block.activation = nn.Identity()

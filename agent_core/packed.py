"""How do a model's matrices run fastest on this CPU? Laid out once as its matrix units read them, not at every call.

For inference alone: weights cannot be read back or trained. The layout and the fused activation are oneDNN's, as
torch's own compiler takes them when it freezes a model; here without a compiler at hand.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agent_core.model.block import Block, quick_gelu

_QUICK = 1.702


class PackedLinear(nn.Module):
    """A linear layer of bfloat16 weights; `after` names an activation computed in the same pass."""

    def __init__(self, weight: Tensor, bias: Tensor | None, after: str = "none") -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
        self._bias = None if bias is None else bias.detach()
        self._after = after

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._weight, self._bias, self._after, [], ""
        )
        return out


def can_pack(device: torch.device) -> bool:
    """Whether this machine's torch has the layout, and a bfloat16 unit to use it."""
    return (
        device.type == "cpu"
        and torch._C._has_mkldnn
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def pack(model: nn.Module) -> None:
    """Replace every linear layer of a bfloat16 model, in place."""
    for module in list(model.modules()):
        if isinstance(module, Block):
            _fold_activation(module)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, PackedLinear(child.weight, child.bias))


def _fold_activation(block: Block) -> None:
    """relu(W x) and quick_gelu(W x) = swish(1.702 W x) / 1.702 in the pass of W."""
    weight, bias = block.feed_in.weight, block.feed_in.bias
    if block.activation is torch.nn.functional.relu:
        folded = PackedLinear(weight, bias, "relu")
    elif block.activation is quick_gelu:
        folded = PackedLinear(weight * _QUICK, bias * _QUICK, "swish")
        block.feed_out.weight = nn.Parameter(block.feed_out.weight / _QUICK, requires_grad=False)
    else:
        return
    setattr(block, "feed_in", folded)  # noqa: B010 - a module of another type
    block.activation = nn.Identity()

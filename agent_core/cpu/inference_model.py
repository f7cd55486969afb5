"""In which numbers does a model play, and how do they lie in memory? A copy for inference, in the precision asked for.

Whole numbers need to be told how far a model's numbers reach: the first frames are played in bfloat16 and watched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from agent_core.config import ConfigError
from agent_core.cpu import compact as native_compact
from agent_core.cpu import paper as native_paper
from agent_core.cpu.compact import CpuConvStem, CpuDecoder, CpuOutputHead
from agent_core.cpu.int8 import Watch, can_quantise, quantise
from agent_core.cpu.onednn import can_pack, can_pack_convolutions, pack, pack_convolutions
from agent_core.cpu.paper import CpuTransformer
from agent_core.model import IAFM
from agent_core.model.conv_stem import VisionTower, normalize_pixels

Precision = Literal["float32", "bfloat16", "int8"]
Own = CpuTransformer | CpuConvStem | CpuDecoder | CpuOutputHead
_WATCHED = 16
"""Frames whose numbers int8 is made for."""


class PlayingModel:
    """A model as it plays; its weights cannot be read back or trained. Raises `ConfigError` for int8 without oneDNN."""

    @torch.inference_mode()
    def __init__(self, model: IAFM, precision: Precision) -> None:
        device, config = model.token.weight.device, model.config
        if precision == "int8" and not can_quantise(device):
            raise ConfigError("int8 needs a CPU and a torch built with oneDNN; take bfloat16")
        half = precision != "float32"
        self.model = copy.deepcopy(model) if half or not config.is_vit_opt else model
        if half:
            self.model.to(torch.bfloat16)
        self._can_pack = half and can_pack(device)
        self._watch = Watch(self.model) if precision == "int8" else None
        self._watched = 0
        self.own: tuple[Own, ...] = ()
        """What our own code computes."""
        self._owns_paper = half and native_paper.supports(config, device)
        self._owns_compact = not half and native_compact.supports(config, device)
        if self._watch is None:
            self._lay_out()
        tower = self.model.vision
        if (
            isinstance(tower, VisionTower)
            and tower.custom_forward is None
            and can_pack_convolutions(device)
        ):
            blank = torch.zeros(1, config.frame_height, config.frame_width, 3, dtype=torch.uint8)
            pack_convolutions(tower, normalize_pixels(blank).to(self.model.token.weight.dtype))

    def saw(self, frames: int) -> None:
        """It was given so many frames more; once they are enough, go over to whole numbers."""
        if self._watch is None:
            return
        self._watched += frames
        if self._watched >= _WATCHED:
            self._watch.end()
            self._lay_out()
            self._watch = None

    @torch.inference_mode()
    def head(self, ids: slice) -> Callable[[Tensor], Tensor]:
        """What scores some ids in float32: (B, Q, D) -> (B, Q, ids)."""
        model = self.model
        weight = model.token.weight[ids].float()
        bias = None if model.config.is_vit_opt else model.output_bias[ids].float()
        if self._owns_compact and bias is not None:
            head = CpuOutputHead(weight, bias)
            self.own = (*self.own, head)
            return head
        return lambda hidden: functional.linear(hidden.float(), weight, bias)

    def _lay_out(self) -> None:
        """Weights as they are read in play: what our own code does not compute, torch's does."""
        if self._owns_paper:
            self.own = native_paper.install(self.model, self._watch)
        elif self._owns_compact:
            self.own = native_compact.install(self.model)
        elif self._watch is not None:
            quantise(self.model, self._watch)
        if self._can_pack:
            pack(self.model)

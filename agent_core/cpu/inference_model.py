"""Inference model: a copy of a model for play, in the precision asked for, its weights laid out once.

int8 by oneDNN or our kernels is calibrated: the first frames are played in bfloat16 and observed. int8 by FBGEMM needs
no calibration. `agent_core.cpu.capability` says which one a processor gets.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from agent_core.cpu import compact, paper
from agent_core.cpu.capability import Precision, Processor, detect, require, support
from agent_core.cpu.compact import CpuConvStem, CpuDecoder, CpuOutputHead
from agent_core.cpu.int8 import Calibrator, quantize, quantize_dynamically
from agent_core.cpu.onednn import prepack, prepack_convolutions
from agent_core.cpu.paper import CpuTransformer
from agent_core.model import IAFM
from agent_core.model.conv_stem import VisionTower, normalize_pixels

CustomLayer = CpuTransformer | CpuConvStem | CpuDecoder | CpuOutputHead
CALIBRATION_FRAMES = 16
"""Frames whose numbers int8 is made for."""


class InferenceModel:
    """A model as it plays; its weights cannot be read back or trained.

    `processor` counts where the model is on one (default: this machine's). Raises `ConfigError` for a precision that
    the model's device does not compute in.
    """

    @torch.inference_mode()
    def __init__(
        self, model: IAFM, precision: Precision, processor: Processor | None = None
    ) -> None:
        device, config = model.token.weight.device, model.config
        processor = processor or detect()
        require(precision, device, processor)
        backends = support(precision, device, processor).backends
        is_dynamic = "fbgemm" in backends
        half = precision != "float32" and not is_dynamic
        copied = precision != "float32" or not config.is_vit_opt
        self.model = copy.deepcopy(model) if copied else model
        if half:
            self.model.to(torch.bfloat16)
        on_onednn = device.type == "cpu" and processor.has_onednn
        self._prepacks = half and on_onednn
        self._calibrator = (
            Calibrator(self.model) if precision == "int8" and not is_dynamic else None
        )
        self._observed = 0
        self.custom_layers: tuple[CustomLayer, ...] = ()
        """What our own code computes."""
        self._owns_paper = half and "kernels" in backends and paper.supports(config, device)
        self._owns_compact = (
            precision == "float32" and "kernels" in backends and compact.supports(config, device)
        )
        if is_dynamic:
            quantize_dynamically(self.model.vision)
            quantize_dynamically(self.model.decoder)
        elif self._calibrator is None:
            self.prepare_weights()
        tower = self.model.vision
        if isinstance(tower, VisionTower) and tower.custom_forward is None and on_onednn:
            blank = torch.zeros(1, config.frame_height, config.frame_width, 3, dtype=torch.uint8)
            prepack_convolutions(tower, normalize_pixels(blank).to(self.model.token.weight.dtype))

    def observe(self, frames: int) -> None:
        """It was given so many frames more; once they are enough, go over to whole numbers."""
        if self._calibrator is None:
            return
        self._observed += frames
        if self._observed >= CALIBRATION_FRAMES:
            self._calibrator.end()
            self.prepare_weights()
            self._calibrator = None

    @torch.inference_mode()
    def output_head(self, ids: slice) -> Callable[[Tensor], Tensor]:
        """What scores some ids in float32: (B, Q, D) -> (B, Q, ids)."""
        model = self.model
        weight = model.token.weight[ids].float()
        bias = None if model.config.is_vit_opt else model.output_bias[ids].float()
        if self._owns_compact and bias is not None:
            head = CpuOutputHead(weight, bias)
            self.custom_layers = (*self.custom_layers, head)
            return head
        return lambda hidden: functional.linear(hidden.float(), weight, bias)

    def prepare_weights(self) -> None:
        """Weights as they are read in play: what our own code does not compute, torch's does."""
        if self._owns_paper:
            self.custom_layers = paper.install(self.model, self._calibrator)
        elif self._owns_compact:
            self.custom_layers = compact.install(self.model)
        elif self._calibrator is not None:
            quantize(self.model, self._calibrator)
        if self._prepacks:
            prepack(self.model)

"""Mixed precision of training: bfloat16 autocast, TF32 products on a GPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def set_matmul_precision(device: torch.device) -> None:
    """TF32 products and cuDNN's autotuner on a GPU; elsewhere nothing."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


def autocast(device: torch.device, half: bool) -> AbstractContextManager[object]:
    """A context that computes in bfloat16 where `half`."""
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()

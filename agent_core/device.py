"""Where does torch compute here, and how precisely at full speed?"""

from __future__ import annotations

import torch

from agent_core.config import ConfigError


def pick_device(name: str) -> torch.device:
    """A device by name; "auto" takes CUDA where there is one. Raises `ConfigError`."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (AssertionError, RuntimeError):
        raise ConfigError(f"torch has no device {name!r} here; take cpu or auto") from None


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a GPU, or a processor with instructions for it; others would emulate it, slower than float32."""
    if device.type == "cuda":
        return True
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()

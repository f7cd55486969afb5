"""How fast does a preset train here? Whole optimiser steps on windows of made-up play, as uneven as real ones."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from agent_core.bench.infer import (
    BenchOptions,
    gemm_dtype,
    gemm_gflops,
    peak_memory_mb,
    random_checkpoint,
)
from agent_core.config import ConfigError, RunConfig
from agent_core.cpu.capability import Precision
from agent_core.device import keep_freed_memory, pick_device
from agent_core.model.batch import Batch
from agent_core.model.conv_stem import normalize_pixels
from agent_core.training.loss import MaskedPatches, count_tokens
from agent_core.training.microbatch import LossModule, MicroBatch, compile_layers
from agent_core.training.optimizer import make_optimizer

_BATCH = {"tiny": 48}
"""Windows of a step where nobody says how many; 2 of larger presets, which fit everywhere."""
_WORDS, _PRESSED, _SAID = 16, 8, 20
"""The most tokens of an instruction, an action (with its markers) and a thought; most have fewer."""


def usual_precision(device: str) -> Precision:
    """bfloat16 on a GPU, as in training; float32 on a processor, of which few compute with bfloat16."""
    return "bfloat16" if pick_device(device).type == "cuda" else "float32"


def bench_train(
    preset: str, timing: BenchOptions, *, batch: int = 0, compiled: bool = False
) -> dict[str, Any]:
    """Windows a second, and the model's share of the matrix ceiling (MFU) on this machine's processor or GPU.

    A window has the frames that a run's would: the paper's T of 9 for its presets, 6 for others. `batch` 0 is the
    preset's usual one. `compiled` steps run as with `train.compile`; compiling itself is not timed.
    """
    precision = timing.precision
    if precision == "auto":
        precision = usual_precision(timing.device)
    if precision == "int8":
        raise ConfigError("training computes in float32 or bfloat16; int8 is for play")
    if batch < 0:
        raise ConfigError(f"a step has at least one window, got --batch {batch}")
    torch.set_num_threads(timing.threads)
    keep_freed_memory()
    device = pick_device(timing.device)
    model = random_checkpoint(preset).model.train().requires_grad_(True).to(device)
    model.vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    config = _config(preset)
    size = batch or _BATCH.get(preset, 2)
    windows = _windows(config, size, device)
    optimiser = make_optimizer(model, config)
    objective, masked = LossModule(model, config), _masked(config, windows)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            pictures = normalize_pixels(windows.frames)
            whole = pictures[: masked.patches.shape[0] * masked.patches.shape[1]]
            part = MicroBatch(windows, pictures, MaskedPatches(masked.patches, whole))
            total, _ = objective(part, count_tokens(windows, config.model.visual_tokens, masked))
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    counter = FlopCounterMode(display=False)
    with counter:
        step()
    if compiled:
        compile_layers(objective)
    step()
    steps, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < timing.seconds or not steps:
        step()
        steps += 1
    spent = time.perf_counter() - begun
    ceiling = gemm_gflops(gemm_dtype(precision, device), device, min(0.5, timing.seconds))
    rate = counter.get_total_flops() * steps / spent / 1e9
    return {
        "preset": preset,
        "device": str(device),
        "threads": timing.threads,
        "precision": precision,
        "compiled": compiled,
        "batch": size,
        "window_frames": config.data.window_frames,
        "windows_per_s": round(size * steps / spent, 2),
        "frames_per_s": round(size * windows.frame_mask.shape[1] * steps / spent, 1),
        "tflops": round(rate / 1e3, 3),
        "gemm_gflops": round(ceiling, 1),
        "mfu": round(rate / ceiling, 3),
        "peak_memory_mb": peak_memory_mb(device),
    }


def _config(preset: str) -> RunConfig:
    config = RunConfig.model_validate({"model": {"preset": preset}})
    if not config.model.is_vit_opt:
        return config
    data = config.data.model_copy(update={"window_frames": config.model.context_frames})
    return config.model_copy(update={"data": data})


def _windows(config: RunConfig, size: int, device: torch.device) -> Batch:
    model, frames = config.model, config.data.window_frames
    shape = (size, frames, model.frame_height, model.frame_width, 3)
    every = torch.ones(size, frames, dtype=torch.bool, device=device)

    def ids(*shape: int) -> torch.Tensor:
        """Ids, of which 2 … all are there."""
        length = torch.randint(2, shape[-1] + 1, (*shape[:-1], 1), device=device)
        there = torch.arange(shape[-1], device=device) < length
        return torch.randint(6, 270, shape, device=device) * there

    return Batch(
        torch.randint(0, 255, shape, dtype=torch.uint8, device=device), every, ids(size, _WORDS),
        ids(size, frames, _PRESSED), every, ids(size, _SAID), torch.zeros_like(every[:, 0]),
        torch.zeros_like(every[:, 0], dtype=torch.long),
    )  # fmt: skip


def _masked(config: RunConfig, windows: Batch) -> MaskedPatches:
    """Half of the patches of some windows, as in training."""
    model = config.model
    rows, columns = model.patch_grid if model.is_vit_opt else model.pooled_grid
    chosen = max(1, round(len(windows) * config.loss.mae_clip_fraction))
    shape = (chosen, windows.frame_mask.shape[1], rows * columns)
    patches = torch.rand(shape, device=windows.frame_mask.device) < 0.5
    return MaskedPatches(patches, torch.empty(0))

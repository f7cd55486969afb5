"""Training benchmark: throughput and MFU of whole optimizer steps on random windows of uneven length."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from agent_core.bench.ceilings import MEASURE_S, gemm_dtype, gemm_gflops, peak_memory_mb
from agent_core.bench.infer import BenchOptions, random_checkpoint
from agent_core.config import RunConfig
from agent_core.cpu.capability import Precision
from agent_core.device import keep_freed_memory, pick_device
from agent_core.errors import ConfigError
from agent_core.model.batch import Batch
from agent_core.model.conv_stem import normalize_pixels
from agent_core.training.loss import MaskedPatches, count_tokens
from agent_core.training.microbatch import LossModule, MicroBatch, compile_layers
from agent_core.training.optimizer import make_optimizer

_BATCH = {"tiny": 48}
"""Default windows of a step; 2 for larger presets, which fit everywhere."""
_TEXT_TOKENS, _ACTION_TOKENS, _THOUGHT_TOKENS = 16, 8, 20
"""Most tokens of an instruction, an action (START and END included) and a thought; lengths are random."""


def usual_precision(device: str) -> Precision:
    """Default training precision: bfloat16 on a GPU; float32 on a CPU, since few compute in bfloat16."""
    return "bfloat16" if pick_device(device).type == "cuda" else "float32"


def bench_train(
    preset: str, options: BenchOptions, *, batch: int = 0, compiled: bool = False
) -> dict[str, Any]:
    """Windows per second, and model FLOP utilization (MFU): the share of the device's peak matrix throughput.

    A window has as many frames as in training: T = 9 for the paper's presets, 6 for others. `batch` 0 is the preset's
    default. `compiled` steps run as with `train.compile`; compilation is not timed. Raises `ConfigError` for int8 and
    for a negative batch.
    """
    precision = options.precision
    if precision == "auto":
        precision = usual_precision(options.device)
    if precision == "int8":
        raise ConfigError("training computes in float32 or bfloat16; int8 is for play")
    if batch < 0:
        raise ConfigError(f"a step has at least one window, got --batch {batch}")
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    device = pick_device(options.device)
    model = random_checkpoint(preset).model.train().requires_grad_(True).to(device)
    model.vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    config = _config(preset)
    size = batch or _BATCH.get(preset, 2)
    windows = _windows(config, size, device)
    optimizer = make_optimizer(model, config)
    loss_module, masked = LossModule(model, config), _masked(config, windows)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            pixels = normalize_pixels(windows.frames)  # (B * N, 3, H, W), the masked windows first
            targets = pixels[: masked.patches.shape[0] * masked.patches.shape[1]]
            batch = MicroBatch(windows, pixels, MaskedPatches(masked.patches, targets))
            loss, _ = loss_module(batch, count_tokens(windows, config.model.visual_tokens, masked))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    counter = FlopCounterMode(display=False)
    with counter:
        step()
    if compiled:
        compile_layers(loss_module)
    step()
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < options.seconds or not steps:
        step()
        steps += 1
    elapsed = time.perf_counter() - start
    seconds = min(MEASURE_S, options.seconds)
    ceiling = gemm_gflops(gemm_dtype(precision, device), device, seconds)
    gflops = counter.get_total_flops() * steps / elapsed / 1e9
    return {
        "preset": preset,
        "device": str(device),
        "threads": options.threads,
        "precision": precision,
        "compiled": compiled,
        "batch": size,
        "window_frames": config.data.window_frames,
        "windows_per_s": round(size * steps / elapsed, 2),
        "frames_per_s": round(size * windows.frame_mask.shape[1] * steps / elapsed, 1),
        "tflops": round(gflops / 1e3, 3),
        "gemm_gflops": round(ceiling, 1),
        "mfu": round(gflops / ceiling, 3),
        "peak_memory_mb": peak_memory_mb(device),
    }


def _config(preset: str) -> RunConfig:
    """A preset's training configuration, with windows as long as its context where it is the paper's."""
    config = RunConfig.model_validate({"model": {"preset": preset}})
    if not config.model.is_vit_opt:
        return config
    data = config.data.model_copy(update={"window_frames": config.model.context_frames})
    return config.model_copy(update={"data": data})


def _windows(config: RunConfig, size: int, device: torch.device) -> Batch:
    """Random windows without padding frames, and with text, actions and thoughts of random length."""
    model, count = config.model, config.data.window_frames
    shape = (size, count, model.frame_height, model.frame_width, 3)
    every = torch.ones(size, count, dtype=torch.bool, device=device)

    def ids(*shape: int) -> torch.Tensor:
        """Random ids; at least 2 of the last dimension, the others are padding."""
        length = torch.randint(2, shape[-1] + 1, (*shape[:-1], 1), device=device)
        valid = torch.arange(shape[-1], device=device) < length
        return torch.randint(6, 270, shape, device=device) * valid

    return Batch(
        torch.randint(0, 255, shape, dtype=torch.uint8, device=device), every, ids(size, _TEXT_TOKENS),
        ids(size, count, _ACTION_TOKENS), every, ids(size, _THOUGHT_TOKENS), torch.zeros_like(every[:, 0]),
        torch.zeros_like(every[:, 0], dtype=torch.long),
    )  # fmt: skip


def _masked(config: RunConfig, windows: Batch) -> MaskedPatches:
    """Half of the patches masked in some windows, as in training."""
    model = config.model
    rows, columns = model.patch_grid if model.is_vit_opt else model.pooled_grid
    clips = max(1, round(len(windows) * config.loss.mae_clip_fraction))
    shape = (clips, windows.frame_mask.shape[1], rows * columns)
    patches = torch.rand(shape, device=windows.frame_mask.device) < 0.5
    return MaskedPatches(patches, torch.empty(0))

"""Training benchmark: throughput and MFU of whole optimizer steps on random windows of uneven length."""

from __future__ import annotations

import time
from collections.abc import Mapping
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

_ROUNDS = 3
"""Turns of each of several configurations, so that a machine that slows down slows all."""
_BATCH = {"tiny": 48}
"""Default windows of a step; 2 for larger presets, which fit everywhere."""
_TEXT_TOKENS, _ACTION_TOKENS, _THOUGHT_TOKENS = 16, 8, 20
"""Most tokens of an instruction, an action (START and END included) and a thought; lengths are random."""


def usual_precision(device: str) -> Precision:
    """Default training precision: bfloat16 on a GPU; float32 on a CPU, since few compute in bfloat16."""
    return "bfloat16" if pick_device(device).type == "cuda" else "float32"


class TrainingSteps:
    """A configuration's optimizer steps on random windows, the same ones at every step."""

    def __init__(self, config: RunConfig, options: BenchOptions, size: int, precision: Precision):
        self.config, self.size, self.precision = config, size, precision
        self.device = pick_device(options.device)
        sizes = config.model.model_dump(exclude={"preset"})
        self.model = random_checkpoint(config.model.preset, **sizes).model
        self.model.train().requires_grad_(True).to(self.device)
        self.model.vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.windows = _windows(config, size, self.device)
        self.masked = _masked(config, self.windows)
        self.optimizer = make_optimizer(self.model, config)
        self.loss_module = LossModule(self.model, config)
        self.steps, self.elapsed_s = 0, 0.0
        self.flops = self._count_flops()

    def _count_flops(self) -> int:
        counter = FlopCounterMode(display=False)
        with counter:
            self.step()
        return int(counter.get_total_flops())

    def step(self) -> None:
        """One optimizer step; on a GPU it is over when this returns."""
        half = self.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            pixels = normalize_pixels(self.windows.frames)  # (B * N, 3, H, W), the masked first
            masked = self.masked
            if masked is not None:
                count = masked.patches.shape[0] * masked.patches.shape[1]
                masked = MaskedPatches(masked.patches, pixels[:count])
            counts = count_tokens(self.windows, self.config.model.visual_tokens, masked)
            loss, _ = self.loss_module(MicroBatch(self.windows, pixels, masked), counts)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def measure(self, seconds: float) -> None:
        """Steps for so long, one at least."""
        self.step()  # what other work left in caches is no part of it
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds or not steps:
            self.step()
            steps += 1
        self.elapsed_s += time.perf_counter() - start
        self.steps += steps

    @property
    def frames_per_s(self) -> float:
        return int(self.windows.frame_mask.sum()) * self.steps / self.elapsed_s

    def report(self) -> dict[str, Any]:
        gflops = self.flops * self.steps / self.elapsed_s / 1e9
        return {
            "batch": self.size,
            "window_frames": self.config.data.window_frames,
            "windows_per_s": round(self.size * self.steps / self.elapsed_s, 2),
            "frames_per_s": round(self.frames_per_s, 1),
            "tflops": round(gflops / 1e3, 6),
        }


def bench_train(
    preset: str, options: BenchOptions, *, batch: int = 0, compiled: bool = False
) -> dict[str, Any]:
    """Windows per second, and model FLOP utilization (MFU): the share of the device's peak matrix throughput.

    A window has as many frames as in training: T = 9 for the paper's presets, 6 for others. `batch` 0 is the preset's
    default. `compiled` steps run as with `train.compile`; compilation is not timed. Raises `ConfigError` for int8 and
    for a negative batch.
    """
    precision = _prepare(options, batch)
    steps = TrainingSteps(_config(preset), options, batch or _BATCH.get(preset, 2), precision)
    if compiled:
        compile_layers(steps.loss_module)
    steps.measure(options.seconds)
    seconds = min(MEASURE_S, options.seconds)
    ceiling = gemm_gflops(gemm_dtype(precision, steps.device), steps.device, seconds)
    report = steps.report()
    return {
        "preset": preset,
        "device": str(steps.device),
        "threads": options.threads,
        "precision": precision,
        "compiled": compiled,
        **report,
        "gemm_gflops": round(ceiling, 1),
        "mfu": round(1e3 * report["tflops"] / ceiling, 3),
        "peak_memory_mb": peak_memory_mb(steps.device),
    }


def compare_training(
    configs: Mapping[str, RunConfig], options: BenchOptions, *, batch: int = 0
) -> dict[str, Any]:
    """Frames per second of several configurations, in turns; `frames_per_s_ratio` is that to the first.

    `batch` 0 is each one's own. Raises `ConfigError` as `bench_train` does.
    """
    precision = _prepare(options, batch)
    subjects = {
        name: TrainingSteps(config, options, batch or config.train.batch, precision)
        for name, config in configs.items()
    }
    for _ in range(_ROUNDS):
        for steps in subjects.values():
            steps.measure(options.seconds / _ROUNDS)
    first = next(iter(subjects.values())).frames_per_s
    return {
        "threads": options.threads,
        "precision": precision,
        "configs": {
            name: {
                **steps.report(),
                "frames_per_s_ratio": round(steps.frames_per_s / first, 2),
            }
            for name, steps in subjects.items()
        },
    }


def _prepare(options: BenchOptions, batch: int) -> Precision:
    """Set threads and memory up; returns the precision."""
    if options.precision == "int8":
        raise ConfigError("training computes in float32 or bfloat16; int8 is for play")
    if batch < 0:
        raise ConfigError(f"a step has at least one window, got --batch {batch}")
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    return usual_precision(options.device) if options.precision == "auto" else options.precision


def _config(preset: str) -> RunConfig:
    """A preset's training configuration, with windows as long as its context where it is the paper's."""
    config = RunConfig.model_validate({"model": {"preset": preset}})
    if not config.model.is_vit_opt:
        return config
    data = config.data.model_copy(update={"window_frames": config.model.context_frames})
    return config.model_copy(update={"data": data})


def _windows(config: RunConfig, size: int, device: torch.device) -> Batch:
    """Random windows, some cut to one frame and with earlier actions masked as in training.

    Texts, actions and thoughts have random lengths; no two windows have the same instruction.
    """
    model, count = config.model, config.data.window_frames
    shape = (size, count, model.frame_height, model.frame_width, 3)
    present = torch.ones(size, count, dtype=torch.bool, device=device)
    present[: round(config.data.single_frame_prob * size), :-1] = False
    masked = torch.arange(size, device=device) < round(config.data.mask_actions_prob * size)

    def ids(*shape: int) -> torch.Tensor:
        """Random ids; at least 2 of the last dimension, the others are padding."""
        length = torch.randint(2, shape[-1] + 1, (*shape[:-1], 1), device=device)
        valid = torch.arange(shape[-1], device=device) < length
        return torch.randint(6, 270, shape, device=device) * valid

    text = min(_TEXT_TOKENS, model.max_text_tokens)
    action = min(_ACTION_TOKENS, model.max_action_tokens)
    thoughts = torch.zeros(size, 1, dtype=torch.long, device=device)  # none
    if config.data.thoughts:
        thoughts = ids(size, min(_THOUGHT_TOKENS, model.max_thought_tokens))
    return Batch(
        torch.randint(0, 255, shape, dtype=torch.uint8, device=device), present, ids(size, text),
        ids(size, count, action), present, thoughts, masked, torch.zeros_like(masked, dtype=torch.long),
    )  # fmt: skip


def _masked(config: RunConfig, windows: Batch) -> MaskedPatches | None:
    """Half of the patches masked in some windows, as in training; None where training masks none."""
    model, loss = config.model, config.loss
    if not loss.mae_clip_fraction or not loss.mae:
        return None
    rows, columns = model.patch_grid if model.is_vit_opt else model.pooled_grid
    clips = max(1, round(len(windows) * loss.mae_clip_fraction))
    shape = (clips, windows.frame_mask.shape[1], rows * columns)
    patches = torch.rand(shape, device=windows.frame_mask.device) < 0.5
    return MaskedPatches(patches, torch.empty(0))

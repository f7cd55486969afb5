"""Ceilings of a machine: peak matrix throughput, memory bandwidth and peak memory use."""

from __future__ import annotations

import resource
import time

import torch

from agent_core.cpu.capability import Precision, Processor, support
from agent_core.device import use_large_pages

MEASURE_S = 0.5
"""Longest measurement of a ceiling, in seconds."""


def gemm_dtype(
    precision: Precision, device: torch.device, processor: Processor | None = None
) -> torch.dtype:
    """The dtype in which a precision's matrix ceiling is measured, never one that the processor emulates.

    For int8 it is bfloat16, in which attention is still computed, or float32 where bfloat16 is emulated.
    """
    use_bfloat16 = precision != "float32" and support("bfloat16", device, processor).is_faster
    return torch.bfloat16 if use_bfloat16 else torch.float32


def gemm_gflops(dtype: torch.dtype, device: torch.device, seconds: float = MEASURE_S) -> float:
    """Peak throughput of a large matrix product on a device, in GFLOP/s: the best of some sizes.

    About `seconds` for each size, the smallest at least once; larger sizes are left out once smaller ones have taken
    all the time.
    """
    on_gpu = device.type == "cuda"
    sides = (8192,) if on_gpu else (1024, 2048, 4096)
    best, begin = 0.0, time.perf_counter()
    for k, side in enumerate(sides, 1):
        a = torch.randn(side, side, device=device).to(dtype)
        while not best or time.perf_counter() - begin < k * seconds:
            start = time.perf_counter()
            torch.mm(a, a)
            if on_gpu:
                torch.cuda.synchronize()
            best = max(best, 2 * side**3 / (time.perf_counter() - start) / 1e9)
    return best


def read_gb_s(device: torch.device, seconds: float = MEASURE_S) -> float:
    """Peak memory bandwidth of a device in GB/s: the best of summing 256 MB (on a GPU 4 GB)."""
    data = torch.ones(1 << (26 if device.type == "cpu" else 30), device=device)
    use_large_pages(data)
    best, end = 0.0, time.perf_counter() + seconds
    while not best or time.perf_counter() < end:
        start = time.perf_counter()
        data.sum().item()
        best = max(best, data.nbytes / (time.perf_counter() - start) / 1e9)
    return best


def peak_memory_mb(device: torch.device) -> int:
    """Peak memory of this process, or on a GPU of its tensors there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) >> 20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

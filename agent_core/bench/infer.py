"""Inference benchmark: latency and throughput of the engine without a wire, and of a `transformers` reference.

Frames come from a scripted expert's rollout, and the sampler is forced to the expert's actions. So the number of tokens
and the share of accepted draft tokens are those of real play, whatever the weights.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from agent_core.bench.ceilings import MEASURE_S, gemm_dtype, gemm_gflops, peak_memory_mb, read_gb_s
from agent_core.bench.transformers_reference import TransformersReference
from agent_core.config import ModelConfig
from agent_core.cpu.capability import Precision, fastest, require, support
from agent_core.cpu.int8 import DynamicInt8Linear, Int8Linear
from agent_core.cpu.onednn import PACKED_FLOPS, PackedConvolution, PackedLinear
from agent_core.device import keep_freed_memory, pick_device
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.sampling import ActionSampler, DecodeState, Logits
from agent_core.engine.session import ActionTokens, Session
from agent_core.model import IAFM
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import build_vocabulary
from agent_core.weights.checkpoint import Checkpoint, load, make_header
from games import Action, Frame
from games.resize import resize_frame
from games.voxel import SPEC, Goal, VoxelEnv
from games.voxel.expert import Expert

PLAY_SEED = 3_000_000_100
INSTRUCTION = "collect wood, then hunt a cow"
STEPS = 60
"""Steps of the expert's rollout, which the benchmark repeats."""
_WARM_UP = 20
"""Steps before the timed ones."""
_MAX_SEQUENTIAL = 16
"""Most sessions that are timed one after another; their rate does not depend on the number."""


@dataclass(frozen=True)
class BenchOptions:
    """Settings of a benchmark."""

    seconds: float = 10.0
    threads: int = 1
    precision: Precision | Literal["auto"] = "auto"
    """auto: what a server picks for the same model on this machine."""
    device: str = "auto"
    num_candidates: int = 0
    """Alternatives scored beside each sampled action, as a server does to show them."""


@dataclass(frozen=True)
class Trace:
    """Consecutive steps of a rollout: frames and the actions that follow them."""

    frames: list[Frame]
    actions: list[Action]


class ForcedSampler(ActionSampler):
    """A sampler that takes given actions; the engine computes the same as with sampled ones."""

    forced_actions: Mapping[int, ActionTokens] = {}
    """By the session's batch slot."""

    def select(self, states: Sequence[DecodeState], log_p: Logits) -> NDArray[np.int64]:
        """The columns of the forced tokens, END behind the last one."""
        tokens = [
            (*self.forced_actions[state.session.slot], self._end)[len(state.current_action)]
            for state in states
        ]
        return np.array(tokens) - self._end


@lru_cache(maxsize=1)
def expert_trace(steps: int = STEPS) -> Trace:
    """The first steps of a scripted expert's rollout in one world."""
    env = VoxelEnv()
    observation, _ = env.reset(seed=PLAY_SEED, options={"task": "hunt_cow"})
    expert = Expert(Goal("hunt_cow", INSTRUCTION))
    frames, actions = [], []
    for _ in range(steps):
        action, _ = expert.act(env.view(), env.player)
        frames.append(observation["frame"])
        actions.append(action)
        observation, *_ = env.step(action)
    return Trace(frames, actions)


def random_checkpoint(preset: str, **settings: Any) -> Checkpoint:
    """A preset with random weights, which is as fast as a trained one."""
    config = ModelConfig.model_validate({"preset": preset, **settings})
    vocabulary = build_vocabulary([SPEC], [INSTRUCTION], config.text_vocab_size)
    torch.manual_seed(0)
    model = IAFM(config, vocabulary.size).eval().requires_grad_(False)
    header = make_header(config, (SPEC,), vocabulary, {})
    return Checkpoint(model, header, vocabulary, Path(preset))


def bench_infer(
    source: Checkpoint | Path, options: BenchOptions, sessions: int = 1
) -> dict[str, Any]:
    """Latency of a batched step, actions per second, and shares of this machine's ceilings.

    The ceilings are what matrix products reach, and what reading memory reaches: a step reads at least the weights of
    vision tower and decoder, and every session's KV cache, once. With several sessions the report also has the gain of
    batching over one session after another.
    """
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    device = pick_device(options.device)
    require(options.precision, device)
    checkpoint = load(source, device) if isinstance(source, Path) else source
    checkpoint.model.to(device)
    precision = options.precision
    if precision == "auto":
        precision = fastest(device, checkpoint.header.model.width)
    # on a GPU every input shape must have come twice, to be captured
    warm_up = _WARM_UP if device.type == "cpu" else 3 * STEPS
    pool = SessionPool(checkpoint, precision, sessions, options.num_candidates)
    times = _times(pool.act, options.seconds, warm_up)
    backend = pool.backend
    gflop = pool.flops(len(times)) / sessions / 1e9
    rate = 1000 * sessions / statistics.fmean(times)
    memory_mb, gb_per_step = peak_memory_mb(device), pool.min_bytes_read / 1e9
    seconds = min(MEASURE_S, options.seconds)
    dtype = gemm_dtype(precision, device)
    ceiling, bandwidth = gemm_gflops(dtype, device, seconds), read_gb_s(device, seconds)
    report = {
        "preset": checkpoint.header.model.preset,
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
        "device": str(device),
        "backend": backend,
        "threads": options.threads,
        "precision": precision,
        "sessions": sessions,
        "alternatives": options.num_candidates,
        "ms": _percentiles(times),
        "actions_per_s": round(rate, 2),
        "tokens_per_action": pool.tokens,
        "gflop_per_action": round(gflop, 3),
        "gemm_precision": str(dtype).removeprefix("torch."),
        "gemm_gflops": round(ceiling, 1),
        "share_of_gemm": round(rate * gflop / ceiling, 3),
        "least_read_mb": round(1000 * gb_per_step, 1),
        "read_gb_s": round(bandwidth, 1),
        "share_of_bandwidth": round(gb_per_step * rate / sessions / bandwidth, 3),
        "peak_memory_mb": memory_mb,
    }
    if sessions > 1:
        del pool  # its KV cache may fill most of the memory
        sequential = _sequential_rate(checkpoint, precision, options, sessions, warm_up)
        report["sequential_actions_per_s"] = round(sequential, 2)
        report["batching_gain"] = round(rate / sequential, 2)
    return report


def _sequential_rate(
    checkpoint: Checkpoint,
    precision: Precision,
    options: BenchOptions,
    sessions: int,
    warm_up: int,
) -> float:
    """Actions per second of sessions that act one after another, without a batch."""
    count = min(sessions, _MAX_SEQUENTIAL)
    pool = SessionPool(checkpoint, precision, count, options.num_candidates)
    times = _times(pool.act_sequentially, options.seconds, warm_up)
    return 1000 * count / statistics.fmean(times)


def compare(preset: str, options: BenchOptions) -> dict[str, Any]:
    """The engine beside the `transformers` reference in one run: actions per second and ratios.

    The paper's vision tower also has temporal attention, which CLIP in `transformers` lacks. So the engine is timed
    once more without it, when both compute the same layers. The reference comes first, in a process as its user starts
    it: `keep_freed_memory` would make it a seventh faster.
    """
    device = pick_device(options.device)
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    routes = [
        bench_reference(preset, options, precision, cached_embeddings=cached)
        for precision in precisions
        if support(precision, device)
        for cached in (False, True)
    ]
    engine = bench_infer(random_checkpoint(preset), options)
    same_layers = bench_infer(random_checkpoint(preset, temporal_attention=False), options)
    for route in routes:
        rate = route["actions_per_s"]
        route["engine_is_faster_by"] = round(engine["actions_per_s"] / rate, 1)
        route["engine_of_the_same_layers_by"] = round(same_layers["actions_per_s"] / rate, 1)
    return {"engine": engine, "engine_of_the_same_layers": same_layers, "routes": routes}


class SessionPool:
    """Sessions of one engine that replay the expert's rollout."""

    def __init__(
        self, checkpoint: Checkpoint, precision: Precision, sessions: int, num_candidates: int
    ) -> None:
        self._chunk = checkpoint.header.model.action_chunk
        engine_options = EngineOptions(
            num_candidates=num_candidates,
            condition_on_actions=self._chunk == 1,
            precision=precision,
        )
        self._engine = Engine(checkpoint, engine_options)
        self._sampler = ForcedSampler(1.0, True, checkpoint.vocabulary.end, self._chunk)
        self._engine.sampler = self._sampler
        self._trace = _resized(expert_trace(), checkpoint.header.model)
        codec = ActionCodec(SPEC, checkpoint.vocabulary)
        self._actions = [tuple(codec.encode(action)[1:-1]) for action in self._trace.actions]
        self._engine.reserve(sessions)
        self._sessions = [self._engine.open(codec, seed) for seed in range(sessions)]
        model = checkpoint.model
        weights = [*model.vision.parameters(), *model.decoder.parameters()]
        size = {"float32": 4, "bfloat16": 2, "int8": 1}[precision]
        self.min_bytes_read = (
            size * sum(weight.numel() for weight in weights)
            + sessions * self._engine.kv_cache.bytes_per_session
        )
        """Bytes of weights and KV cache, each read once a step."""

    @property
    def backend(self) -> str:
        """What computes the matrix products, and how kernels are launched."""
        if any(self._engine.kv_cache.graphs):
            return "torch, CUDA graphs"
        if self._engine.custom_layers:
            return "own kernels"
        kinds = {type(module) for module in self._engine.model.modules()}
        if Int8Linear in kinds:
            return "torch, oneDNN int8"
        if DynamicInt8Linear in kinds:
            return "torch, FBGEMM int8"
        return "torch, packed oneDNN" if kinds & {PackedLinear, PackedConvolution} else "torch"

    @property
    def tokens(self) -> float:
        """Mean tokens of a step's action chunk, END of each action included."""
        return round(self._chunk * statistics.fmean(len(a) + 1 for a in self._actions), 2)

    def flops(self, first_step: int, steps: int = 20) -> float:
        """Floating-point operations of one step, averaged over some: torch's and those of custom layers."""
        from torch.utils.flop_counter import FlopCounterMode

        self._engine.kv_cache.disable_cuda_graphs()  # a replay dispatches no operators to count
        custom = self._engine.custom_layers
        before = sum(layers.flops for layers in custom)
        with FlopCounterMode(display=False, custom_mapping=PACKED_FLOPS) as counter:
            for t in range(steps):
                self.act(_WARM_UP + first_step + t)
        in_custom = sum(layers.flops for layers in custom) - before
        return float(counter.get_total_flops() + in_custom) / steps

    def act(self, t: int) -> None:
        """Step t of all sessions as one batch."""
        self._step(self._sessions, t)

    def act_sequentially(self, t: int) -> None:
        """Step t of all sessions, one after another."""
        for session in self._sessions:
            self._step([session], t)

    def _step(self, sessions: list[Session], t: int) -> None:
        """Sessions are seven steps of the rollout apart, so that their actions differ."""
        steps = [(t + 7 * session.slot) % STEPS for session in sessions]
        self._sampler.forced_actions = {
            session.slot: self._actions[k] for session, k in zip(sessions, steps, strict=True)
        }
        frames = [self._trace.frames[k] for k in steps]
        self._engine.act(sessions, frames, [INSTRUCTION] * len(sessions))


def bench_reference(
    preset: str, options: BenchOptions, precision: Precision, *, cached_embeddings: bool
) -> dict[str, Any]:
    """The same sizes, frames and output tokens through `transformers`: CLIP, and OPT's `generate` with its KV cache.

    As its user would: the window of T frames is built anew for every action. With `cached_embeddings` the visual
    embeddings of earlier frames are reused.
    """
    torch.set_num_threads(options.threads)
    config = ModelConfig.model_validate({"preset": preset})
    vocabulary = build_vocabulary([SPEC], [INSTRUCTION], config.text_vocab_size)
    reference = TransformersReference(
        config, precision, cached_embeddings, pick_device(options.device)
    )
    trace = _resized(expert_trace(), config)
    codec = ActionCodec(SPEC, vocabulary)
    actions = [codec.encode(action)[1:-1] for action in trace.actions]
    reference.reset(vocabulary.text_ids(INSTRUCTION, config.max_text_tokens))

    def step(t: int) -> None:
        reference.act(trace.frames[t % STEPS], actions[t % STEPS], vocabulary.start)

    times = _times(step, options.seconds, warm_up=config.context_frames)
    return {
        "route": "transformers" + (", cached pictures" if cached_embeddings else ""),
        "threads": options.threads,
        "precision": precision,
        "ms": _percentiles(times),
        "actions_per_s": round(1000 / statistics.fmean(times), 3),
    }


def _times(step: Callable[[int], None], seconds: float, warm_up: int) -> list[float]:
    """Milliseconds of each step after the warm-up, for `seconds` but at least five steps."""
    times: list[float] = []
    for t in range(warm_up):
        step(t)
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(times) < 5:
        start = time.perf_counter()
        step(warm_up + len(times))
        times.append(1000 * (time.perf_counter() - start))
    return times


def _percentiles(times: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(times, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _resized(trace: Trace, config: ModelConfig) -> Trace:
    frames = [resize_frame(f, config.frame_height, config.frame_width) for f in trace.frames]
    return Trace(frames, trace.actions)

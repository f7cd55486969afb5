"""Inference benchmark: the model without any wire, and beside it the plain route a user would otherwise take.

Frames are those of a scripted expert's play, and the engine is made to give the expert's actions, so that the number
of tokens and the share of accepted drafts are those of real play, whatever the weights.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from agent_core.bench.transformers_reference import TransformersReference
from agent_core.config import ModelConfig
from agent_core.cpu.capability import Precision, Processor, fastest, require, support
from agent_core.cpu.int8 import DynamicInt8Linear, Int8Linear
from agent_core.cpu.onednn import PACKED_FLOPS, PackedConvolution, PackedLinear
from agent_core.device import keep_freed_memory, pick_device, use_large_pages
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.sampling import ActionSampler, DecodeState, Logits
from agent_core.engine.session import ActionTokens, Session
from agent_core.model import IAFM
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import build_vocabulary
from agent_core.weights.checkpoint import Checkpoint, load, make_header
from games import Action, Frame
from games.voxel import SPEC, Goal, VoxelEnv
from games.voxel.expert import Expert

PLAY_SEED = 3_000_000_100
INSTRUCTION = "collect wood, then hunt a cow"
STEPS = 60
"""Steps of recorded play that the measurement goes through again and again."""
_WARM = 20
_CEILING_S = 0.5
"""How long each ceiling is measured at the most."""
_IN_TURN = 16
"""Players that are asked one after the other, at the most: their number changes nothing."""


@dataclass(frozen=True)
class BenchOptions:
    """How to measure."""

    seconds: float = 10.0
    threads: int = 1
    precision: Precision | Literal["auto"] = "auto"
    """auto: what a server would take for the same model on this machine."""
    device: str = "auto"
    num_candidates: int = 0
    """Actions weighed beside each that is drawn, as a server does to show them."""


@dataclass(frozen=True)
class Trace:
    """Consecutive steps: frames and the actions that follow them."""

    frames: list[Frame]
    actions: list[Action]


class ForcedSampler(ActionSampler):
    """Decides as it is told; all the engine's computation stays the same."""

    forced_actions: Mapping[int, ActionTokens] = {}
    """By session's row."""

    def select(self, states: Sequence[DecodeState], log_p: Logits) -> NDArray[np.int64]:
        told = [
            (*self.forced_actions[state.session.slot], self._end)[len(state.current_action)]
            for state in states
        ]
        return np.array(told) - self._end


@lru_cache(maxsize=1)
def expert_trace(steps: int = STEPS) -> Trace:
    """The first steps of a scripted expert in one world."""
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
    """A preset with random weights: as fast as a trained one, and as clever as chance."""
    config = ModelConfig.model_validate({"preset": preset, **settings})
    vocabulary = build_vocabulary([SPEC], [INSTRUCTION], config.text_vocab_size)
    torch.manual_seed(0)
    model = IAFM(config, vocabulary.size).eval().requires_grad_(False)
    header = make_header(config, (SPEC,), vocabulary, {})
    return Checkpoint(model, header, vocabulary, Path(preset))


def bench_infer(what: Checkpoint | Path, timing: BenchOptions, sessions: int = 1) -> dict[str, Any]:
    """Milliseconds per batched action, actions a second, and the shares of this machine's ceilings.

    Those are what matrix products reach, and what reading memory reaches: a step reads at least the encoder's and
    the decoder's weights and every session's memory once.
    With several sessions also what the batch gains over asking them one after the other.
    """
    torch.set_num_threads(timing.threads)
    keep_freed_memory()
    device = pick_device(timing.device)
    require(timing.precision, device)
    checkpoint = load(what, device) if isinstance(what, Path) else what
    checkpoint.model.to(device)
    precision = timing.precision
    if precision == "auto":
        precision = fastest(device, checkpoint.header.model.width)
    warm = (
        _WARM if device.type == "cpu" else 3 * STEPS
    )  # every shape is recorded when it comes again
    together = SessionPool(checkpoint, precision, sessions, timing.num_candidates)
    times = _times(together.act, timing.seconds, warm)
    backend = together.backend
    operations = together.operations(len(times)) / sessions / 1e9
    rate = 1000 * sessions / statistics.fmean(times)
    memory, least = peak_memory_mb(device), together.min_bytes_read / 1e9
    seconds = min(_CEILING_S, timing.seconds)
    dtype = gemm_dtype(precision, device)
    ceiling, bandwidth = gemm_gflops(dtype, device, seconds), read_gb_s(device, seconds)
    report = {
        "preset": checkpoint.header.model.preset,
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
        "device": str(device),
        "backend": backend,
        "threads": timing.threads,
        "precision": precision,
        "sessions": sessions,
        "alternatives": timing.num_candidates,
        "ms": _percentiles(times),
        "actions_per_s": round(rate, 2),
        "tokens_per_action": together.tokens,
        "gflop_per_action": round(operations, 3),
        "gemm_precision": str(dtype).removeprefix("torch."),
        "gemm_gflops": round(ceiling, 1),
        "share_of_gemm": round(rate * operations / ceiling, 3),
        "least_read_mb": round(1000 * least, 1),
        "read_gb_s": round(bandwidth, 1),
        "share_of_bandwidth": round(least * rate / sessions / bandwidth, 3),
        "peak_memory_mb": memory,
    }
    if sessions > 1:
        del together  # its memory may be most of what there is
        few = min(sessions, _IN_TURN)
        alone = SessionPool(checkpoint, precision, few, timing.num_candidates)
        in_turn = _times(alone.act_sequentially, timing.seconds, warm)
        one_by_one = 1000 * few / statistics.fmean(in_turn)
        report["sequential_actions_per_s"] = round(one_by_one, 2)
        report["batching_gain"] = round(rate / one_by_one, 2)
    return report


def compare(preset: str, timing: BenchOptions) -> dict[str, Any]:
    """The engine beside the plain route in one run: actions a second and ratios.

    The paper's encoder attends over time as well, which `transformers`' CLIP cannot; so the engine is also timed
    without that, when both compute the same layers. The routes come first, in a process as its user starts it:
    `keep_freed_memory` would make them a seventh faster.
    """
    device = pick_device(timing.device)
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    ways = [
        (precision, cached)
        for precision in precisions
        if support(precision, device)
        for cached in (False, True)
    ]
    routes = [
        bench_reference(preset, timing, precision, cached_pictures=cached)
        for precision, cached in ways
    ]
    ours = bench_infer(random_checkpoint(preset), timing)
    same = bench_infer(random_checkpoint(preset, temporal_attention=False), timing)
    for route in routes:
        rate = route["actions_per_s"]
        route["engine_is_faster_by"] = round(ours["actions_per_s"] / rate, 1)
        route["engine_of_the_same_layers_by"] = round(same["actions_per_s"] / rate, 1)
    return {"engine": ours, "engine_of_the_same_layers": same, "routes": routes}


class SessionPool:
    """Sessions of one engine that replay the expert's play."""

    def __init__(
        self, checkpoint: Checkpoint, precision: Precision, sessions: int, alternatives: int
    ) -> None:
        self._chunk = checkpoint.header.model.action_chunk
        options = EngineOptions(
            num_candidates=alternatives,
            condition_on_actions=self._chunk == 1,
            precision=precision,
        )
        self._engine = Engine(checkpoint, options)
        self._told = ForcedSampler(1.0, True, checkpoint.vocabulary.end, self._chunk)
        self._engine.sampler = self._told
        self._play = _fitted(expert_trace(), checkpoint.header.model)
        attachment = ActionCodec(SPEC, checkpoint.vocabulary)
        self._bodies = [tuple(attachment.encode(action)[1:-1]) for action in self._play.actions]
        self._engine.reserve(sessions)
        self._sessions = [self._engine.open(attachment, seed) for seed in range(sessions)]
        model = checkpoint.model
        weights = [*model.vision.parameters(), *model.decoder.parameters()]
        size = {"float32": 4, "bfloat16": 2, "int8": 1}[precision]
        self.min_bytes_read = (
            size * sum(weight.numel() for weight in weights)
            + sessions * self._engine.kv_cache.bytes_per_session
        )
        """Bytes of weights and memory, each once."""

    @property
    def backend(self) -> str:
        """What computes matrices, and how passes are launched."""
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
        """Written per frame, the ends of actions included."""
        return round(self._chunk * statistics.fmean(len(body) + 1 for body in self._bodies), 2)

    def operations(self, after: int, steps: int = 20) -> float:
        """Of one step, counted over some: torch's and our own."""
        from torch.utils.flop_counter import FlopCounterMode

        self._engine.kv_cache.disable_cuda_graphs()  # what is replayed cannot be counted
        own = self._engine.custom_layers
        before = sum(layers.flops for layers in own)
        with FlopCounterMode(display=False, custom_mapping=PACKED_FLOPS) as counter:
            for t in range(steps):
                self.act(_WARM + after + t)
        done = sum(layers.flops for layers in own) - before
        return float(counter.get_total_flops() + done) / steps

    def act(self, t: int) -> None:
        self._ask(self._sessions, t)

    def act_sequentially(self, t: int) -> None:
        for session in self._sessions:
            self._ask([session], t)

    def _ask(self, sessions: list[Session], t: int) -> None:
        """Each session is somewhere else in the play, so that their tokens differ."""
        at = [(t + 7 * session.slot) % STEPS for session in sessions]
        self._told.forced_actions = {
            s.slot: self._bodies[k] for s, k in zip(sessions, at, strict=True)
        }
        frames = [self._play.frames[k] for k in at]
        self._engine.act(sessions, frames, [INSTRUCTION] * len(sessions))


def bench_reference(
    preset: str, timing: BenchOptions, precision: Precision, *, cached_pictures: bool
) -> dict[str, Any]:
    """The same sizes, frames and output tokens through `transformers`: CLIP and OPT's `generate` with its KV cache.

    As its user would: the window of T frames is built anew for every action; with `cached_pictures` the visual
    embeddings of earlier frames are kept.
    """
    torch.set_num_threads(timing.threads)
    config = ModelConfig.model_validate({"preset": preset})
    vocabulary = build_vocabulary([SPEC], [INSTRUCTION], config.text_vocab_size)
    route = TransformersReference(config, precision, cached_pictures, pick_device(timing.device))
    play = _fitted(expert_trace(), config)
    attachment = ActionCodec(SPEC, vocabulary)
    bodies = [attachment.encode(action)[1:-1] for action in play.actions]
    route.begin(vocabulary.text_ids(INSTRUCTION, config.max_text_tokens))

    def step(t: int) -> None:
        route.act(play.frames[t % STEPS], bodies[t % STEPS], vocabulary.start)

    times = _times(step, timing.seconds, warm=config.context_frames)
    return {
        "route": "transformers" + (", cached pictures" if cached_pictures else ""),
        "threads": timing.threads,
        "precision": precision,
        "ms": _percentiles(times),
        "actions_per_s": round(1000 / statistics.fmean(times), 3),
    }


def gemm_dtype(
    precision: Precision, device: torch.device, processor: Processor | None = None
) -> torch.dtype:
    """In which numbers the matrix ceiling of a precision is measured: never in those that a processor emulates.

    For int8 in bfloat16, which attention is still computed in, or where that is emulated in float32.
    """
    wants_half = precision != "float32" and support("bfloat16", device, processor).is_faster
    return torch.bfloat16 if wants_half else torch.float32


def gemm_gflops(dtype: torch.dtype, device: torch.device, seconds: float = _CEILING_S) -> float:
    """What a large matrix product reaches on a device, in 10^9 operations a second: the best of some sizes.

    About `seconds` for each size; larger ones are left out once smaller ones have taken all the time.
    """
    on_gpu = device.type == "cuda"
    sides = (8192,) if on_gpu else (1024, 2048, 4096)
    best, begun = 0.0, time.perf_counter()
    for k, side in enumerate(sides, 1):
        a = torch.randn(side, side, device=device).to(dtype)
        while time.perf_counter() - begun < k * seconds:
            start = time.perf_counter()
            torch.mm(a, a)
            if on_gpu:
                torch.cuda.synchronize()
            best = max(best, 2 * side**3 / (time.perf_counter() - start) / 1e9)
    return best


def read_gb_s(device: torch.device, seconds: float = _CEILING_S) -> float:
    """What summing 256 MB (on a GPU 4 GB) reaches on a device, in 10^9 bytes a second."""
    much = torch.ones(1 << (26 if device.type == "cpu" else 30), device=device)
    use_large_pages(much)
    best, begun = 0.0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        much.sum().item()
        best = max(best, much.nbytes / (time.perf_counter() - start) / 1e9)
    return best


def peak_memory_mb(device: torch.device) -> int:
    """Of this process so far, or on a GPU of its tensors there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) >> 20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _times(step: Callable[[int], None], seconds: float, warm: int = _WARM) -> list[float]:
    """Milliseconds of each step after the warm-up, for some seconds but at least five steps."""
    times: list[float] = []
    for t in range(warm):
        step(t)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds or len(times) < 5:
        start = time.perf_counter()
        step(warm + len(times))
        times.append(1000 * (time.perf_counter() - start))
    return times


def _percentiles(times: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(times, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _fitted(play: Trace, config: ModelConfig) -> Trace:
    size = (config.frame_width, config.frame_height)
    frames = [
        cv2.resize(f, size, interpolation=cv2.INTER_AREA).astype(np.uint8) for f in play.frames
    ]
    return Trace(frames, play.actions)

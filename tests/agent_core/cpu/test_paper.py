"""CPU kernels of the paper's layers: int8 stacks and play against torch, and play by torch without them."""

from __future__ import annotations

import copy
import logging
import mmap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.cpu import paper as native_paper
from agent_core.cpu.build import load_library, supported_isas
from agent_core.cpu.capability import Isa, Precision, detect
from agent_core.cpu.int8 import Calibrator
from agent_core.cpu.kernels.paper_structs import HEAD_DIM as HEAD
from agent_core.cpu.paper import CpuTransformer
from agent_core.device import use_large_pages
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.session import SampledAction
from agent_core.errors import KernelError
from agent_core.model import IAFM
from agent_core.model.decoder import Decoder
from agent_core.model.vit import TemporalKVCache, ViTower
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import build_vocabulary
from agent_core.weights.checkpoint import Checkpoint, make_header
from games.voxel.spec import SPEC

pytestmark = pytest.mark.processor

TEXTS = ["chop a tree", "hunt the pig"]
VOCABULARY = build_vocabulary([SPEC], TEXTS, 320)
ATTACHMENT = ActionCodec(SPEC, VOCABULARY)

ISAS: tuple[Isa, ...] = supported_isas("paper")
if ISAS:
    ISAS = (*ISAS, "amx_emulated")
REASON = native_paper.unavailable_reason()
WITHOUT_KERNELS = replace(detect(), is_linux=False)
"""This processor where the kernels are not for its system."""
Part = TypeVar("Part", ViTower, Decoder)
needs_kernels = pytest.mark.skipif(
    REASON is not None and "other numbers" not in REASON,  # those are for the tests to find
    reason=f"torch computes all layers: {REASON}",
)


def config(**changes: object) -> ModelConfig:
    sizes = {
        "backbone": "paper", "text_conditioning": False,
        "width": 2 * HEAD, "heads": 2, "layers": 3, "frame_height": 40, "frame_width": 40,
        "patch": 8, "pooled_grid": (5, 5), "global_token": True, "context_frames": 4, "frame_stride": 1,
        "positions": 512, "max_thought_tokens": 8, "mae_blocks": 1, "temporal_attention": True,
    }  # fmt: skip
    return ModelConfig.model_validate({**sizes, **changes})


def model(**changes: object) -> IAFM:
    torch.manual_seed(0)
    made = IAFM(config(**changes), VOCABULARY.size)
    for name, weight in made.named_parameters():
        if weight.ndim < 2:
            nn.init.normal_(weight, 1.0, 0.3)
        elif name == "token.weight":
            nn.init.normal_(weight, std=0.15)
        elif "blocks" in name:  # what layers add counts for more than what they are given
            nn.init.normal_(weight, std=0.12)
    return made.eval().requires_grad_(False)


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Root mean square, in standard deviations of what is expected."""
    return float((actual.float() - expected).std() / expected.std())


def errors_of_torch_and_kernels(
    part: Part, run: Callable[[Part], Tensor], isa: Isa, *, int8: bool = False
) -> tuple[float, float]:
    """Of bfloat16 in torch, and of the kernels, against float32."""
    truth = run(copy.deepcopy(part))
    half = copy.deepcopy(part).to(torch.bfloat16)
    calibrator = Calibrator(half) if int8 else None
    plain = run(half)
    if calibrator is not None:
        calibrator.end()
    kernels = copy.deepcopy(part).to(torch.bfloat16)
    # the calibrator knows the layers it has seen
    layers = CpuTransformer(half.blocks if int8 else kernels.blocks, calibrator, isa)
    if isinstance(kernels, ViTower):
        kernels.custom_forward = layers.encode_frames
    else:
        kernels.custom_forward = layers.forward_cached
    kernels.blocks = nn.ModuleList()
    return relative_error(plain, truth), relative_error(run(kernels), truth)


@needs_kernels
@torch.inference_mode()
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("steps", [2, 6])  # of a memory of four, which then goes round
@pytest.mark.parametrize("rows", [slice(1, 2), torch.tensor([2, 0, 1])])
def test_frames_are_encoded_as_with_torch(
    rows: slice | Tensor, steps: int, int8: bool, isa: Isa
) -> None:
    made = model()
    tower = made.vision
    assert isinstance(tower, ViTower)
    count = 1 if isinstance(rows, slice) else 3
    places = made.config.visual_tokens

    def run(tower: ViTower) -> Tensor:
        dtype = tower.patch_in.weight.dtype
        draw = torch.Generator().manual_seed(1)
        earlier = torch.randn(3, 2, 3, places, 2, 4, HEAD, generator=draw).to(dtype)
        for step in range(steps):
            bias = torch.zeros(4, count, 1, dtype=dtype)
            bias[step + 1 :] = -torch.inf
            block = step % 4
            frame_slot = block if count == 1 else torch.full((3,), block)
            pictures = torch.randn(count, 3, 40, 40, generator=draw).to(dtype)
            tokens = tower.encode_frame(pictures, TemporalKVCache(earlier, bias, rows, frame_slot))
        return tokens.float()

    torch_error, kernel_error = errors_of_torch_and_kernels(tower, run, isa, int8=int8)
    assert kernel_error < (0.02 if int8 else 1.1 * torch_error)
    assert torch_error < 0.01


@needs_kernels
@torch.inference_mode()
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize(("queries", "tail"), [(1, None), (16, None), (37, 5), (130, 130), (70, 1)])
def test_tokens_enter_the_cache_as_with_torch(
    queries: int, tail: int | None, int8: bool, isa: Isa
) -> None:
    made = model(positions=2048)

    def run(decoder: Decoder) -> Tensor:
        dtype = next(decoder.parameters()).dtype
        draw = torch.Generator().manual_seed(queries)
        cache = torch.randn(3, 2, 4, 2, 333, HEAD, generator=draw).to(dtype)
        used = cache[:, :, :, :, :301]  # no whole number of tiles
        slots = torch.randperm(301, generator=draw)[: 2 * queries].view(2, queries)
        columns = torch.zeros(2, queries, 301).short()
        columns[torch.rand(columns.shape, generator=draw) > 0.6] = -1
        columns[..., 7] = 0
        columns[1, :, 128:256] = -1  # a block nothing is seen of
        x = torch.randn(2, queries, 2 * HEAD, generator=draw)
        rows = torch.tensor([3, 1])
        out = decoder.forward_cached(x.to(dtype), columns, used, rows, slots, last_n=tail)
        return torch.cat([out.flatten(), cache[:, :, rows].flatten()]).float()

    torch_error, kernel_error = errors_of_torch_and_kernels(made.decoder, run, isa, int8=int8)
    assert kernel_error < (0.02 if int8 else 1.1 * torch_error)
    assert torch_error < 0.01


@needs_kernels
@torch.inference_mode()
@pytest.mark.parametrize("isa", ISAS)
def test_int8_saturates_beyond_the_calibrated_range(isa: Isa) -> None:
    """No wrapping round: ten times as large inputs to the matrices still give outcomes near torch's."""
    decoder = model().decoder.to(torch.bfloat16)
    seen, cache = torch.zeros(1, 9, 9).short(), torch.zeros(3, 2, 1, 2, 9, HEAD).bfloat16()
    rows, slots = torch.tensor([0]), torch.arange(9)[None]
    x = torch.randn(1, 9, 2 * HEAD).bfloat16()
    calibrator = Calibrator(decoder)
    decoder.forward_cached(x, seen, cache, rows, slots)
    calibrator.end()
    for block in decoder.blocks:
        block.get_parameter("attention_norm.weight").mul_(3)
    far = decoder.forward_cached(x, seen, cache.clone(), rows, slots).float()
    layers = CpuTransformer(decoder.blocks, calibrator, isa)
    actual = decoder.norm(layers.forward_cached(x, seen, cache.clone(), rows, slots, None)).float()
    assert torch.nn.functional.cosine_similarity(actual.flatten(), far.flatten(), dim=0) > 0.9


def checkpoint(**changes: object) -> Checkpoint:
    made = model(**changes)
    return Checkpoint(made, make_header(made.config, (SPEC,), VOCABULARY, {}), VOCABULARY, Path())


def pictures(count: int, seed: int) -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    return list(random.integers(0, 255, (count, 40, 40, 3)).astype(np.uint8))


def play(engine: Engine, seeds: list[int], steps: int = 24) -> list[list[SampledAction]]:
    sessions = [engine.open(ATTACHMENT, seed) for seed in seeds]
    frames = [pictures(steps, seed) for seed in seeds]
    return [
        engine.act(sessions, [f[t] for f in frames], ["chop a tree"] * len(seeds))
        for t in range(steps)
    ]


@needs_kernels
@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("over_time", [False, True])
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_play_is_that_of_torch(precision: Precision, over_time: bool, shown: bool) -> None:
    """The entropies of greedy play, against torch's bfloat16."""
    played = checkpoint(temporal_attention=over_time)
    options = EngineOptions(temperature=0, condition_on_actions=shown, precision=precision)
    with_kernels = Engine(played, options)
    with_torch = Engine(played, replace(options, precision="bfloat16"), WITHOUT_KERNELS)
    assert not with_torch.custom_layers
    actual, expected = (play(engine, [0])[16:] for engine in (with_kernels, with_torch))
    assert len(with_kernels.custom_layers) == 2
    assert all(layers.flops > 0 for layers in with_kernels.custom_layers)
    for (a,), (b,) in zip(actual, expected, strict=True):
        assert a.entropy == pytest.approx(b.entropy, abs=0.08)


@needs_kernels
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_sessions_in_one_batch_act_as_alone(precision: Precision) -> None:
    played = checkpoint(frame_stride=2)
    options = EngineOptions(condition_on_actions=True, precision=precision, num_candidates=2)

    def after_others(seeds: list[int]) -> list[list[SampledAction]]:
        engine = Engine(played, options)
        play(engine, [9], steps=16)  # the frames that int8 is calibrated with
        assert engine.custom_layers
        return play(engine, seeds, steps=8)

    together = after_others([1, 2, 3])
    alone = [after_others([seed]) for seed in (1, 2, 3)]
    for k, choices in enumerate(together):
        for seed, choice in enumerate(choices):
            assert choice.tokens == alone[seed][k][0].tokens
            assert choice.probability == pytest.approx(alone[seed][k][0].probability, rel=1e-4)


@needs_kernels
def test_the_number_of_threads_changes_nothing() -> None:
    played, before = checkpoint(), torch.get_num_threads()
    probabilities = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            engine = Engine(played, EngineOptions(precision="bfloat16"))
            probabilities.append([choice.probability for (choice,) in play(engine, [4], steps=6)])
    finally:
        torch.set_num_threads(before)
    assert probabilities[0] == pytest.approx(probabilities[1], rel=1e-5)


@needs_kernels
def test_it_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_library("paper")
    (compiled,) = (tmp_path / "iafm").iterdir()
    written = compiled.stat().st_mtime_ns
    monkeypatch.setenv("PATH", "")  # what is there needs no compiler; but without one, which is it?
    with pytest.raises(KernelError, match="no C compiler"):
        load_library("paper")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_library("paper")
    assert compiled.stat().st_mtime_ns == written


@needs_kernels
def test_an_instruction_set_that_is_missing_is_refused() -> None:
    with pytest.raises(KernelError, match="no avx2"):
        load_library("paper", "avx2")


@needs_kernels
def test_code_that_others_could_have_put_there_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iafm").mkdir()
    (tmp_path / "iafm").chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(KernelError, match="others may write"):
        load_library("paper")


PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not PAGES.exists() or "[madvise]" not in PAGES.read_text(),
    reason="this system gives no large pages, or gives them unasked",
)
def test_large_pages_lie_under_what_is_read_often() -> None:
    def large_kb() -> int:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))

    def fresh_memory() -> mmap.mmap:  # what was freed before could lie in large pages already
        return mmap.mmap(-1, 9 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    control, before = fresh_memory(), large_kb()
    control.madvise(mmap.MADV_HUGEPAGE)
    torch.frombuffer(control, dtype=torch.uint8).fill_(1)
    if large_kb() <= before:
        pytest.skip("the kernel has no large page to give, asked by Python itself")
    memory = torch.frombuffer(fresh_memory(), dtype=torch.uint8)
    memory.random_(0, 255)
    written, before = memory.clone(), large_kb()
    use_large_pages(memory)
    use_large_pages(memory[:5])  # too small for one
    assert torch.equal(memory, written)
    assert large_kb() > before


@needs_kernels
@pytest.mark.parametrize(
    ("compiler", "reason"), [("false", "fails"), ("/no/such/cc", "cannot be compiled")]
)
def test_without_a_compiler_torch_plays(
    compiler: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native_paper.unavailable_reason.cache_clear()
    with caplog.at_level(logging.INFO):
        engine = Engine(checkpoint(), EngineOptions(precision="bfloat16"))
    native_paper.unavailable_reason.cache_clear()
    assert reason in caplog.text
    assert not engine.custom_layers
    assert play(engine, [0], steps=1)[0][0].probability > 0
    assert not list((tmp_path / "iafm").iterdir())


@needs_kernels
def test_wrong_numbers_are_not_played_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        CpuTransformer, "encode_frames", lambda _, x, __: torch.full_like(x, torch.nan)
    )
    native_paper.unavailable_reason.cache_clear()
    engine = Engine(checkpoint(), EngineOptions(precision="bfloat16"))
    native_paper.unavailable_reason.cache_clear()
    assert "other numbers" in caplog.text
    assert not engine.custom_layers

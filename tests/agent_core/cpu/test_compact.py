"""CPU kernels of the compact models: stem, decoder and play against torch, and play by torch without them."""

from __future__ import annotations

import copy
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from agent_core.config import ModelConfig
from agent_core.cpu import compact as native_compact
from agent_core.cpu.build import supported_isas
from agent_core.cpu.capability import Isa, detect
from agent_core.cpu.compact import CpuConvStem, CpuDecoder, install_decoder, install_stem
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.session import SampledAction
from agent_core.model import IAFM
from agent_core.model.conv_stem import VisionTower
from agent_core.model.decoder import Decoder
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import build_vocabulary
from agent_core.weights.checkpoint import Checkpoint, make_header
from games.voxel.spec import SPEC

pytestmark = pytest.mark.processor

VOCABULARY = build_vocabulary([SPEC], ["chop a tree"], 320)
ATTACHMENT = ActionCodec(SPEC, VOCABULARY)
MEMORY, HEADS, HEAD, LAYERS = 4, 3, 32, 3

ISAS = supported_isas("compact")
REASON = native_compact.unavailable_reason()
WITHOUT_KERNELS = replace(detect(), is_linux=False)
"""This processor where the kernels are not for its system."""
needs_kernels = pytest.mark.skipif(
    REASON is not None and "other numbers" not in REASON,  # those are for the tests to find
    reason=f"torch computes compact models: {REASON}",
)


def config(**changes: object) -> ModelConfig:
    sizes = {
        "width": HEADS * HEAD, "heads": HEADS, "layers": LAYERS, "context_frames": MEMORY, "frame_stride": 1,
        "frame_height": 24, "frame_width": 80, "pooled_grid": (3, 2), "stem_widths": (32, 64, 96),
    }  # fmt: skip
    return ModelConfig.model_validate({**sizes, **changes})


def model(**changes: object) -> IAFM:
    torch.manual_seed(0)
    made = IAFM(config(**changes), VOCABULARY.size)
    for weight in made.parameters():
        if weight.ndim < 2:
            torch.nn.init.normal_(weight, 1.0, 0.3)
    torch.nn.init.normal_(made.decoder.time_bias, std=2.0)
    return made.eval().requires_grad_(False)


def close(actual: Tensor, expected: Tensor) -> None:
    scale = float(expected.abs().max())
    torch.testing.assert_close(actual, expected, atol=2e-6 * scale, rtol=1e-5)


@needs_kernels
@torch.inference_mode()
@pytest.mark.parametrize("pictures", [1, 5])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stem_strides": (2, 2, 2), "stem_widths": (32, 32, 64), "global_token": True},
        {"stem_strides": (1, 1, 8), "frame_height": 16, "frame_width": 16, "pooled_grid": (2, 1)},
        {"stem_strides": (8, 1, 1), "pooled_grid": (1, 1)},
    ],
)
def test_frames_are_encoded_as_with_torch(changes: dict[str, object], pictures: int) -> None:
    made = model(**changes)
    tower = made.vision
    assert isinstance(tower, VisionTower)
    size = made.config.frame_height, made.config.frame_width
    frames = torch.randint(0, 256, (pictures, *size, 3), dtype=torch.uint8)
    channels = made.config.stem_widths[made.config.conditioned_stage]
    text = torch.randn(pictures, channels)
    expected = made.encode_frame(frames), made.encode_frame(frames, conditioning=text)
    stem = install_stem(tower, made.config)
    close(made.encode_frame(frames), expected[0])
    close(made.encode_frame(frames, conditioning=text), expected[1])
    assert not torch.allclose(expected[0], expected[1], atol=1e-2)
    for each in (None, text):
        rows = [None if each is None else each[k : k + 1] for k in range(pictures)]
        alone = [stem(frame[None], row) for frame, row in zip(frames, rows, strict=True)]
        assert torch.equal(stem(frames, each), torch.cat(alone))
    with pytest.raises(ValueError, match="frames are"):
        stem(frames[:, 1:])


def extended(
    decoder: Decoder, queries: int, tail: int | None, rows: list[int]
) -> tuple[Tensor, Tensor]:
    """What comes of new tokens, and what then stands in the cache."""
    draw = torch.Generator().manual_seed(queries)
    cache = torch.randn(LAYERS, 2, 9, HEADS, 211, HEAD, generator=draw)
    used = cache[:, :, :, :, :201]  # fills no vector
    x = torch.randn(9, queries, HEADS * HEAD, generator=draw)[rows]
    slots = torch.stack([torch.randperm(201, generator=draw)[:queries] for _ in range(9)])[rows]
    columns = torch.randint(-1, MEMORY + 2, (9, queries, 201), generator=draw).short()[rows]
    columns[:, :, 64:128] = -1
    columns[:, :, 7] = 0
    out = decoder.forward_cached(x, columns, used, torch.tensor(rows), slots, last_n=tail)
    return out, cache


@needs_kernels
@torch.inference_mode()
@pytest.mark.parametrize("rows", [[2], [8, 0, 3, 1, 2, 4, 7]])
@pytest.mark.parametrize(("queries", "tail"), [(1, None), (16, None), (37, 5), (130, 130), (70, 1)])
def test_tokens_enter_the_cache_as_with_torch(
    queries: int, tail: int | None, rows: list[int]
) -> None:
    decoder = model().decoder
    expected = extended(decoder, queries, tail, rows)
    install_decoder(decoder)
    actual = extended(decoder, queries, tail, rows)
    close(actual[0], expected[0])
    close(actual[1], expected[1])


@needs_kernels
@torch.inference_mode()
def test_sessions_in_a_batch_get_the_numbers_they_get_alone() -> None:
    decoder = model().decoder
    forward = CpuDecoder(decoder).forward_cached
    x, columns = torch.randn(11, 6, HEADS * HEAD), torch.zeros(11, 6, 40).short()
    cache, slots = torch.randn(LAYERS, 2, 11, HEADS, 40, HEAD), torch.arange(6).expand(11, -1)
    outputs, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            outputs.append(forward(x, columns, cache.clone(), torch.arange(11), slots, None))
    finally:
        torch.set_num_threads(before)
    for k in range(11):
        one = slice(k, k + 1)
        alone = forward(x[one], columns[one], cache.clone(), torch.tensor([k]), slots[one], None)
        assert all(torch.equal(alone, every[one]) for every in outputs)


@needs_kernels
@torch.inference_mode()
def test_masked_slots_may_hold_anything() -> None:
    decoder = model().decoder
    forward = CpuDecoder(decoder).forward_cached
    x, columns = torch.randn(1, 3, HEADS * HEAD), torch.full((1, 3, 40), -1).short()
    columns[:, :, :20] = 0
    clean = torch.randn(LAYERS, 2, 1, HEADS, 40, HEAD)
    wild = clean.clone()
    wild[:, :, :, :, 20:] = torch.nan
    rows, slots = torch.tensor([0]), torch.arange(3)[None]
    assert torch.equal(
        forward(x, columns, clean, rows, slots, None), forward(x, columns, wild, rows, slots, None)
    )


def checkpoint(**changes: object) -> Checkpoint:
    made = model(**changes)
    return Checkpoint(made, make_header(made.config, (SPEC,), VOCABULARY, {}), VOCABULARY, Path())


def play(engine: Engine, seeds: list[int], steps: int = 12) -> list[list[SampledAction]]:
    sessions = [engine.open(ATTACHMENT, seed) for seed in seeds]
    height, width = engine.config.frame_height, engine.config.frame_width
    frames = [
        np.random.default_rng(seed).integers(0, 255, (steps, height, width, 3)).astype(np.uint8)
        for seed in seeds
    ]
    return [
        engine.act(sessions, [f[t] for f in frames], ["chop a tree"] * len(seeds))
        for t in range(steps)
    ]


@needs_kernels
@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        *({}, {"stem_blocks": (0, 1, 0)}, {"activation": "gelu"}, {"global_token": True}),
        {"text_conditioning": False},
        {"pooled_grid": (1, 1), "global_token": True},
    ],
)
def test_play_is_that_of_torch(changes: dict[str, object], shown: bool) -> None:
    played = checkpoint(**changes)
    weights = copy.deepcopy(played.model.state_dict())
    options = EngineOptions(condition_on_actions=shown, num_candidates=3)
    with_kernels = Engine(played, options)
    with_torch = Engine(played, options, WITHOUT_KERNELS)
    actual, expected = play(with_kernels, [0, 1]), play(with_torch, [0, 1])
    assert len(with_kernels.custom_layers) == 2 + (not {"stem_blocks", "activation"} & set(changes))
    assert not with_torch.custom_layers
    assert all(layers.flops > 0 for layers in with_kernels.custom_layers)
    for choices, wanted in zip(actual, expected, strict=True):
        for a, b in zip(choices, wanted, strict=True):
            assert a.tokens == b.tokens
            assert a.probability == pytest.approx(b.probability, rel=1e-4)
            assert [p for _, p in a.alternatives] == pytest.approx(
                [p for _, p in b.alternatives], rel=1e-4
            )
    session = with_kernels.open(ATTACHMENT, 0)
    assert with_kernels.generate_thought(session) == ""
    assert all(torch.equal(weights[name], w) for name, w in played.model.state_dict().items())


ALONE = """
import os
import sys

import numpy as np
import torch

from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, load
from agent_core.engine.engine import Engine
from agent_core.tokens.action_codec import ActionCodec
from games.voxel.spec import SPEC


def threads():
    return len(os.listdir("/proc/self/task"))


torch.set_num_threads(1)
checkpoint = load(DEFAULT_CHECKPOINT)
engine = Engine(checkpoint)
players = [engine.open(ActionCodec(SPEC, checkpoint.vocabulary), seed) for seed in range(2)]
frames = np.random.default_rng(0).integers(0, 255, (9, 72, 128, 3)).astype(np.uint8)
engine.act(players[:1], frames[:1], ["chop a tree"])  # an instruction's conditioning is torch's, once
torch.set_num_threads(3)
before = threads()
for frame in frames[1:]:
    engine.act(players[:1], [frame], ["chop a tree"])
print(threads() - before)
engine.act(players, frames[:2], ["chop a tree"] * 2)
print(threads() - before)
"""


@needs_kernels
def test_a_single_session_wakes_no_other_thread() -> None:
    """A thread that slept takes milliseconds to begin, and waits for more work on a core that the game could use."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "2"]


@needs_kernels
@pytest.mark.parametrize(
    "changes", [{"width": 48, "heads": 2}, {"width": 96, "heads": 6}, {"width": 512, "heads": 8}]
)
def test_other_sizes_are_computed_by_torch(changes: dict[str, object]) -> None:
    engine = Engine(checkpoint(**changes))
    assert not engine.custom_layers
    assert play(engine, [0], steps=1)[0][0].probability > 0


@needs_kernels
@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_gives_torchs_numbers(isa: Isa) -> None:
    assert native_compact.max_error_vs_torch(isa) < 1e-5


@needs_kernels
def test_without_a_compiler_torch_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CC", "false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native_compact.unavailable_reason.cache_clear()
    with caplog.at_level(logging.INFO):
        engine = Engine(checkpoint())
    native_compact.unavailable_reason.cache_clear()
    assert "fails" in caplog.text
    assert not engine.custom_layers
    assert play(engine, [0], steps=1)[0][0].probability > 0


@needs_kernels
def test_wrong_numbers_are_not_played_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = CpuConvStem.__call__
    monkeypatch.setattr(CpuConvStem, "__call__", lambda stem, *inputs: right(stem, *inputs).flip(1))
    native_compact.unavailable_reason.cache_clear()
    engine = Engine(checkpoint())
    native_compact.unavailable_reason.cache_clear()
    assert "other numbers" in caplog.text
    assert not engine.custom_layers

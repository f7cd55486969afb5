"""Tests of CUDA graphs: replays equal eager passes, and the engine stays eager where capture fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from agent_core.config import ModelConfig
from agent_core.engine.cuda_graphs import ForwardFn, GraphedFunction, bucket_size, capture
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.model import IAFM
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import build_vocabulary
from agent_core.weights.checkpoint import Checkpoint, make_header
from games.voxel.spec import SPEC

TEXTS = ["chop a tree", "hunt the pig"]
VOCABULARY = build_vocabulary([SPEC], TEXTS, 320)
SMALL = {"width": 32, "layers": 2, "heads": 4, "context_frames": 3, "frame_stride": 2}
COMPACT = {**SMALL, "stem_widths": (8, 8, 16)}
PLAIN = {**COMPACT, "text_conditioning": False}
PAPER = {
    **SMALL, "preset": "paper", "frame_height": 32, "frame_width": 32, "pooled_grid": (2, 2), "max_text_tokens": 24,
    "text_vocab_size": 320, "padded_vocab_size": VOCABULARY.size, "positions": 256, "mae_blocks": 1, "mae_heads": 4,
}  # fmt: skip
OPTIONS = EngineOptions(condition_on_actions=True)


class NoHostCopies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses, like a GPU during capture, operators that copy between host and device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        refused = ("aten.lift_fresh", "aten._local_scalar_dense", "aten.item", "aten.nonzero")
        if str(func).startswith(refused):
            raise RuntimeError(f"{func} is not permitted when stream is capturing")
        return func(*args, **(kwargs or {}))


def fake_capture(run: ForwardFn) -> tuple[Tensor, Callable[[], None]]:
    """Capture on a CPU: as with CUDA graphs, a replay reads and writes the tensors of the capture."""
    with NoHostCopies():  # type: ignore[no-untyped-call]
        output = run().clone()

    def replay() -> None:
        output.copy_(run())

    return output, replay


def checkpoint(sizes: dict[str, object]) -> Checkpoint:
    config = ModelConfig.model_validate(sizes)
    torch.manual_seed(0)
    model = IAFM(config, VOCABULARY.size)
    for name, weight in model.named_parameters():
        if ".time." in name:  # temporal attention is initialized to zero
            torch.nn.init.normal_(weight, std=0.3)
    header = make_header(config, (SPEC,), VOCABULARY, {})
    return Checkpoint(model.eval().requires_grad_(False), header, VOCABULARY, Path())


def play(engine: Engine) -> list[float]:
    """Probabilities of the actions of two sessions; the second opens later, and not every step has both."""
    codec, rng = ActionCodec(SPEC, VOCABULARY), np.random.default_rng(0)
    sessions = [engine.open(codec, 1)]
    samples = []
    for step in range(14):
        if step == 4:
            sessions.append(engine.open(codec, 2))
        batch = sessions[:1] if step % 5 == 3 else sessions[::-1]
        frames = [rng.integers(0, 255, (72, 128, 3)).astype(np.uint8) for _ in batch]
        frames = [
            frame[: engine.config.frame_height, : engine.config.frame_width] for frame in frames
        ]
        samples += engine.act(batch, frames, [TEXTS[session.slot] for session in batch])
    return [sample.probability for sample in samples]


@pytest.mark.parametrize("sizes", [COMPACT, PLAIN, PAPER], ids=["compact", "plain", "paper"])
def test_recorded_passes_play_as_plain_ones(sizes: dict[str, object]) -> None:
    eager = Engine(checkpoint(sizes), OPTIONS)
    graphed = Engine(checkpoint(sizes), OPTIONS, capture=fake_capture)
    assert play(graphed) == pytest.approx(play(eager), rel=1e-4)
    assert [len(graph) > 0 for graph in graphed.kv_cache.graphs] == [True, True]


@pytest.mark.gpu
@pytest.mark.parametrize("sizes", [COMPACT, PLAIN, PAPER], ids=["compact", "plain", "paper"])
def test_cuda_graphs_play_as_plain_passes(sizes: dict[str, object]) -> None:
    on_gpu = checkpoint(sizes)
    on_gpu.model.cuda()
    graphed, eager = Engine(on_gpu, OPTIONS), Engine(on_gpu, OPTIONS)
    eager.kv_cache.disable_cuda_graphs()
    assert play(graphed) == pytest.approx(play(eager), rel=1e-2)
    assert [len(graph) > 0 for graph in graphed.kv_cache.graphs] == [True, True]


def test_a_recording_is_made_when_a_shape_comes_again() -> None:
    def double(x: Tensor, *, more: int | None = None) -> Tensor:
        return x * 2 + (more or 0)

    graphed = GraphedFunction(double, fake_capture)
    for captured in (0, 1, 1, 1):
        assert graphed(torch.ones(2)).tolist() == [2, 2]
        assert len(graphed) == captured
    assert graphed(torch.zeros(2)).tolist() == [0, 0]
    for _ in range(2):
        assert graphed(torch.ones(2), more=1).tolist() == [3, 3]
        assert graphed(torch.ones(3)).tolist() == [2, 2, 2]
    assert len(graphed) == 3
    graphed.reset()
    assert len(graphed) == 0
    for length in range(1, 300):
        for more in range(6):
            for _ in range(2):
                graphed(torch.ones(length), more=more)
    assert (
        100 < len(graphed) < 6 * len({bucket_size(n) for n in range(1, 300)})
    )  # old graphs are dropped


def test_numbers_of_players_share_recordings() -> None:
    lengths: set[int] = set()

    def double(x: Tensor, y: Tensor) -> Tensor:
        lengths.add(len(x))
        return x * 2 + y

    graphed = GraphedFunction(double, fake_capture)
    for count in range(1, 100):
        x, y = torch.arange(count), torch.arange(count).flip(0)
        for _ in range(3):
            assert torch.equal(graphed(x, y), x * 2 + y)
    assert lengths == {bucket_size(count) for count in range(1, 100)}
    assert len(lengths) < 25
    assert all(count <= bucket_size(count) <= 1.25 * count for count in range(1, 5000))
    before = len(graphed)
    for _ in range(2):  # too large a batch to be captured
        assert len(graphed(torch.ones(4000), torch.ones(4000))) == 4000
    assert len(graphed) == before


def failing_capture(run: ForwardFn) -> tuple[Tensor, Callable[[], None]]:
    raise RuntimeError("operation not permitted when stream is capturing")


def wrong_capture(run: ForwardFn) -> tuple[Tensor, Callable[[], None]]:
    """A capture whose replay gives zeros."""
    output = run().clone()

    def replay() -> None:
        output.zero_()

    return output, replay


@pytest.mark.parametrize("capture_fn", [failing_capture, wrong_capture])
def test_play_goes_on_without_recordings(
    capture_fn: Callable[[ForwardFn], tuple[Tensor, Callable[[], None]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    graphed = GraphedFunction(lambda x: x + 1, capture_fn)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert graphed(torch.ones(2)).tolist() == [2, 2]
    assert "one by one" in caplog.text
    assert graphed(torch.zeros(2)).tolist() == [1, 1]
    assert len(graphed) == 0


@pytest.mark.gpu
def test_cuda_graphs_replay_with_new_inputs() -> None:
    graphed = GraphedFunction(lambda x: x * x, capture)
    for number in (1.0, 2.0, 3.0):
        assert graphed(torch.full((4,), number, device="cuda")).tolist() == [number**2] * 4
    assert len(graphed) == 1

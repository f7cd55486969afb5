"""Does a recorded pass give what the pass itself gives, whatever comes in, and does play go on where it cannot?"""

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

import agent_core.engine.kv_cache
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
PAPER = {
    **SMALL, "preset": "paper", "frame_height": 32, "frame_width": 32, "pooled_grid": (2, 2), "max_text_tokens": 24,
    "text_vocab_size": 320, "padded_vocab_size": VOCABULARY.size, "positions": 256, "mae_blocks": 1, "mae_heads": 4,
}  # fmt: skip


class NoWaiting(TorchDispatchMode):
    """Refuses, like a recording GPU, whatever brings numbers to the processor or from it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        refused = ("aten.lift_fresh", "aten._local_scalar_dense", "aten.item", "aten.nonzero")
        if str(func).startswith(refused):
            raise RuntimeError(f"{func} is not permitted when stream is capturing")
        return func(*args, **(kwargs or {}))


def again(run: ForwardFn) -> tuple[Tensor, Callable[[], None]]:
    """As CUDA graphs do it: what a replay reads and writes are the tensors of the recording."""
    with NoWaiting():
        outcome = run().clone()

    def replay() -> None:
        outcome.copy_(run())

    return outcome, replay


def checkpoint(sizes: dict[str, object]) -> Checkpoint:
    config = ModelConfig.model_validate(sizes)
    torch.manual_seed(0)
    model = IAFM(config, VOCABULARY.size)
    for name, weight in model.named_parameters():
        if ".time." in name:  # attention over time begins at zero
            torch.nn.init.normal_(weight, std=0.3)
    header = make_header(config, (SPEC,), VOCABULARY, {})
    return Checkpoint(model.eval().requires_grad_(False), header, VOCABULARY, Path())


def play(checkpoint: Checkpoint) -> tuple[list[float], Engine]:
    """Likelihoods of what two players do, the second of whom comes later and each of whom pauses now and then."""
    engine = Engine(checkpoint, EngineOptions(condition_on_actions=True))
    attachment, random = ActionCodec(SPEC, VOCABULARY), np.random.default_rng(0)
    players = [engine.open(attachment, 1)]
    given = []
    for step in range(14):
        if step == 4:
            players.append(engine.open(attachment, 2))
        here = players[:1] if step % 5 == 3 else players[::-1]
        frames = [random.integers(0, 255, (72, 128, 3)).astype(np.uint8) for _ in here]
        frames = [
            frame[: engine.config.frame_height, : engine.config.frame_width] for frame in frames
        ]
        given += engine.act(here, frames, [TEXTS[p.slot] for p in here])
    return [choice.probability for choice in given], engine


@pytest.mark.parametrize("sizes", [COMPACT, PAPER], ids=["compact", "paper"])
def test_recorded_passes_play_as_plain_ones(
    sizes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _ = play(checkpoint(sizes))
    monkeypatch.setattr(agent_core.engine.kv_cache, "can_capture", lambda device: True)
    monkeypatch.setattr(agent_core.engine.kv_cache, "capture", again)
    replayed, engine = play(checkpoint(sizes))
    assert [len(one) > 0 for one in engine.kv_cache.graphs] == [True, True]
    assert replayed == pytest.approx(plain, rel=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("sizes", [COMPACT, PAPER], ids=["compact", "paper"])
def test_cuda_graphs_play_as_plain_passes(
    sizes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = checkpoint(sizes)
    made.model.cuda()
    replayed, engine = play(made)
    assert [len(one) > 0 for one in engine.kv_cache.graphs] == [True, True]
    monkeypatch.setattr(agent_core.engine.kv_cache, "can_capture", lambda device: False)
    plain, _ = play(made)
    assert replayed == pytest.approx(plain, rel=1e-2)


def test_a_recording_is_made_when_a_shape_comes_again() -> None:
    ran: list[int] = []

    def double(x: Tensor, *, more: int | None = None) -> Tensor:
        ran.append(len(x))
        return x * 2 + (more or 0)

    replayed = GraphedFunction(double, again)
    for known in (0, 1, 1, 1):
        assert replayed(torch.ones(2)).tolist() == [2, 2]
        assert len(replayed) == known
    assert replayed(torch.zeros(2)).tolist() == [0, 0]
    for _ in range(2):
        assert replayed(torch.ones(2), more=1).tolist() == [3, 3]
        assert replayed(torch.ones(3)).tolist() == [2, 2, 2]
    assert len(replayed) == 3
    replayed.reset()
    assert len(replayed) == 0
    for length in range(1, 300):
        for more in range(6):
            for _ in range(2):
                replayed(torch.ones(length), more=more)
    assert 100 < len(replayed) < 6 * len({bucket_size(n) for n in range(1, 300)})  # not for ever


def test_numbers_of_players_share_recordings() -> None:
    lengths: set[int] = set()

    def double(x: Tensor, y: Tensor) -> Tensor:
        lengths.add(len(x))
        return x * 2 + y

    replayed = GraphedFunction(double, again)
    for count in range(1, 100):
        x, y = torch.arange(count), torch.arange(count).flip(0)
        for _ in range(3):
            assert torch.equal(replayed(x, y), x * 2 + y)
    assert lengths == {bucket_size(count) for count in range(1, 100)}
    assert len(lengths) < 25
    assert all(count <= bucket_size(count) <= 1.25 * count for count in range(1, 5000))
    before = len(replayed)
    for _ in range(2):  # so many that launching them is no matter
        assert len(replayed(torch.ones(4000), torch.ones(4000))) == 4000
    assert len(replayed) == before


def cannot(run: ForwardFn) -> tuple[Tensor, Callable[[], None]]:
    raise RuntimeError("operation not permitted when stream is capturing")


def stale(run: ForwardFn) -> tuple[Tensor, Callable[[], None]]:
    """A recording that has forgotten half of its work."""
    outcome = run().clone()
    return outcome, lambda: outcome.zero_() and None


@pytest.mark.parametrize("record", [cannot, stale])
def test_play_goes_on_without_recordings(
    record: Callable[[ForwardFn], tuple[Tensor, Callable[[], None]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    replayed = GraphedFunction(lambda x: x + 1, record)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert replayed(torch.ones(2)).tolist() == [2, 2]
    assert "one by one" in caplog.text
    assert replayed(torch.zeros(2)).tolist() == [1, 1]
    assert len(replayed) == 0


@pytest.mark.gpu
def test_cuda_graphs_replay_with_new_inputs() -> None:
    replayed = GraphedFunction(lambda x: x * x, capture)
    for number in (1.0, 2.0, 3.0):
        assert replayed(torch.full((4,), number, device="cuda")).tolist() == [number**2] * 4
    assert len(replayed) == 1

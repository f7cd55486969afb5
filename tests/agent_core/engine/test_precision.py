"""Precisions of the engine: int8 beside the precision of its other layers, batches beside single sessions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agent_core.bench.infer import expert_trace
from agent_core.cpu.capability import Precision, Processor, detect
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.sampling import Logits
from agent_core.tokens.action_codec import ActionCodec
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, load
from games.voxel.spec import SPEC
from tests.agent_core.engine.test_engine import (
    CODEC,
    PAPER,
    PLAIN,
    random_checkpoint,
    random_frames,
)

pytestmark = pytest.mark.processor
HERE = detect()


@pytest.mark.parametrize("sizes", [{}, PLAIN, PAPER], ids=["compact", "plain", "paper"])
@pytest.mark.parametrize(
    ("other_layers", "processor"),
    [
        pytest.param(
            "bfloat16",
            HERE,
            marks=pytest.mark.skipif(
                "onednn" not in HERE.support("int8").backends, reason="needs VNNI"
            ),
        ),
        pytest.param(
            "float32",
            replace(HERE, vectors="AVX2", has_vnni=False),
            marks=pytest.mark.skipif(not HERE.can_use_fbgemm, reason="needs FBGEMM"),
        ),
    ],
    ids=["onednn", "fbgemm"],
)
def test_whole_numbers_draw_from_nearly_the_same_chances(
    other_layers: Precision, processor: Processor, sizes: dict[str, object]
) -> None:
    """int8 against the precision in which attention and sums stay."""
    checkpoint, frames = random_checkpoint(**sizes), random_frames(30)
    samples = []
    for precision in (other_layers, "int8"):
        engine = Engine(checkpoint, EngineOptions(temperature=0, precision=precision), processor)
        session = engine.open(CODEC, 1)
        samples.append([engine.act([session], [frame], ["chop a tree"])[0] for frame in frames])
    pairs = list(zip(*samples, strict=True))[16:]
    for expected, int8 in pairs:
        assert int8.entropy == pytest.approx(expected.entropy, abs=0.1)
    assert any(int8.entropy != expected.entropy for expected, int8 in pairs)


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [
        ("float32", 1e-5),
        pytest.param(
            "bfloat16",
            0.02,
            marks=pytest.mark.skipif(
                not HERE.support("bfloat16"), reason="needs bfloat16 matrix products"
            ),
        ),
    ],
)
def test_sixteen_players_of_the_shipped_model_are_as_uncertain_as_alone(
    precision: Precision, tolerance: float
) -> None:
    """Entropy of the first token in nats: a batch against each session alone."""
    checkpoint, frames = load(DEFAULT_CHECKPOINT), expert_trace().frames
    engine = Engine(checkpoint, EngineOptions(temperature=0, precision=precision))

    def entropies(seeds: range) -> Logits:
        sessions = [engine.open(ActionCodec(SPEC, checkpoint.vocabulary), k) for k in seeds]
        steps = [
            engine.act(sessions, [frames[(t + 3 * k) % len(frames)] for k in seeds], ["chop a tree"] * len(seeds))
            for t in range(6)
        ]  # fmt: skip
        for session in sessions:
            engine.close(session)
        return np.array([[sample.entropy for sample in samples] for samples in steps])

    together = entropies(range(16))
    alone = np.concatenate([entropies(range(k, k + 1)) for k in range(16)], 1)
    assert np.abs(together - alone).max() < tolerance
    assert together.std() > 0.3  # the sessions differ

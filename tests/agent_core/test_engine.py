"""Does streaming equal the whole window, and does a batch equal its sessions alone?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agent_core.checkpoint import Checkpoint, make_header
from agent_core.config import ModelConfig
from agent_core.engine import Engine, EngineOptions, Session
from agent_core.grammar import Attachment
from agent_core.model import IAFM
from agent_core.sequence import Batch
from agent_core.vocabulary import build_vocabulary
from games.voxel.spec import SPEC

TEXTS = ["chop a tree", "hunt the pig", "wood: it is far, walk"]
VOCABULARY = build_vocabulary([SPEC], TEXTS, 320)
ATTACHMENT = Attachment(SPEC, VOCABULARY)


def random_checkpoint(**changes: object) -> Checkpoint:
    settings = {"width": 32, "layers": 2, "heads": 4, "memory_frames": 3, "history_stride": 1}
    config = ModelConfig.model_validate({**settings, "stem_widths": (8, 8, 16), **changes})
    torch.manual_seed(0)
    model = IAFM(config, VOCABULARY.size)
    for weight in model.parameters():
        if weight.ndim < 2 or weight is model.decoder.time_bias:
            torch.nn.init.normal_(weight, 0.3 if weight is model.decoder.time_bias else 1.0, 0.5)
    header = make_header(config, (SPEC,), VOCABULARY, {})
    return Checkpoint(model.eval().requires_grad_(False), header, VOCABULARY, Path())


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return list(random.integers(0, 255, (count, 72, 128, 3)).astype(np.uint8))


def play(engine: Engine, session: Session, frames: list[np.ndarray]) -> list[tuple[int, ...]]:
    return [engine.act([session], [frame], ["chop a tree"])[0].body for frame in frames]


@pytest.mark.parametrize("shown", [False, True])
def test_streaming_equals_the_whole_window(shown: bool) -> None:
    checkpoint = random_checkpoint()
    engine = Engine(checkpoint, EngineOptions(show_actions=shown))
    frames = pictures(7)
    session = engine.open(ATTACHMENT, 1)
    choices = [engine.act([session], [f], ["chop a tree"])[0] for f in frames]
    ids = [[VOCABULARY.start, *c.body, VOCABULARY.end] for c in choices]
    actions = torch.zeros(1, 7, 12, dtype=torch.long)
    for t, row in enumerate(ids):
        actions[0, t, : len(row)] = torch.tensor(row)
    text = torch.zeros(1, 20, dtype=torch.long)
    words = VOCABULARY.text_ids("chop a tree", 20)
    text[0, : len(words)] = torch.tensor(words)
    batch = Batch(
        torch.from_numpy(np.stack(frames))[None],
        torch.ones(1, 7, dtype=torch.bool),
        text,
        actions,
        torch.ones(1, 7, dtype=torch.bool),
        torch.zeros(1, 8, dtype=torch.long),
        torch.tensor([not shown]),
    )
    scores = checkpoint.model.logits(checkpoint.model(batch).actions).double()
    for t, choice in enumerate(choices):
        expected = 0.0
        for k, token in enumerate((*choice.body, VOCABULARY.end)):
            allowed = ATTACHMENT.allowed(choice.body[:k])
            log_p = scores[0, t, k, list(allowed)].log_softmax(0)
            expected += float(log_p[allowed.index(token)])
        assert np.log(choice.probability) == pytest.approx(expected, abs=1e-4)


def test_batched_sessions_act_as_alone() -> None:
    checkpoint = random_checkpoint(history_stride=2)
    alone, together = Engine(checkpoint), Engine(checkpoint)
    plays = [pictures(6, seed) for seed in range(3)]
    expected = [play(alone, alone.open(ATTACHMENT, k), frames) for k, frames in enumerate(plays)]
    sessions = [together.open(ATTACHMENT, k) for k in range(3)]
    found = [
        [c.body for c in together.act(sessions, [p[t] for p in plays], ["chop a tree"] * 3)]
        for t in range(6)
    ]
    assert [list(bodies) for bodies in zip(*found, strict=True)] == expected


def test_the_draft_changes_nothing() -> None:
    checkpoint = random_checkpoint()
    with_draft, without = Engine(checkpoint), Engine(checkpoint, EngineOptions(draft=False))
    frames = pictures(2) * 4
    first = play(with_draft, with_draft.open(ATTACHMENT, 5), frames)
    assert first == play(without, without.open(ATTACHMENT, 5), frames)


def test_another_instruction_empties_the_memory_and_why_changes_nothing() -> None:
    engine = Engine(random_checkpoint(), EngineOptions(alternatives=3))
    fresh, used = engine.open(ATTACHMENT, 0), engine.open(ATTACHMENT, 0)
    frames = pictures(4)
    for frame in frames[:3]:
        engine.act([used], [frame], ["chop a tree"])
    used.random = np.random.default_rng(0)
    engine.why(used)
    a, b = engine.act([fresh, used], [frames[3]] * 2, ["hunt the pig"] * 2)
    assert a.body == b.body
    assert a.probability == pytest.approx(b.probability, abs=1e-6)
    assert [body for body, _ in a.alternatives] == [body for body, _ in b.alternatives]
    assert a.alternatives[0][1] >= a.alternatives[-1][1]


def test_alternatives_have_exact_probabilities() -> None:
    engine = Engine(random_checkpoint(), EngineOptions(temperature=0, alternatives=3))
    session = engine.open(ATTACHMENT, 0)
    choice = engine.act([session], pictures(1), ["chop a tree"])[0]
    assert engine._probabilities(session, [choice.body])[0] == pytest.approx(choice.probability)

"""The engine: streaming beside the whole window, a batch beside its sessions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agent_core.agent import DEFAULT_CHECKPOINT
from agent_core.bench.infer import expert_trace
from agent_core.config import ConfigError, ModelConfig
from agent_core.cpu.capability import Precision, Processor, detect
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.sampling import Logits
from agent_core.engine.session import SampledAction, Session
from agent_core.model import IAFM
from agent_core.model.batch import Batch
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import EOS, THOUGHT, build_vocabulary
from agent_core.weights.checkpoint import Checkpoint, load, make_header
from games.voxel.spec import SPEC

pytestmark = pytest.mark.processor
HERE = detect()
TEXTS = ["chop a tree", "hunt the pig", "wood: it is far, walk"]
VOCABULARY = build_vocabulary([SPEC], TEXTS, 320)
ATTACHMENT = ActionCodec(SPEC, VOCABULARY)


def random_checkpoint(**changes: object) -> Checkpoint:
    settings = {"width": 32, "layers": 2, "heads": 4, "context_frames": 3, "frame_stride": 1}
    config = ModelConfig.model_validate({**settings, "stem_widths": (8, 8, 16), **changes})
    torch.manual_seed(0)
    model = IAFM(config, VOCABULARY.size)
    for name, weight in model.named_parameters():
        if weight is getattr(model.decoder, "time_bias", None):
            torch.nn.init.normal_(weight, 0.3, 0.5)
        elif weight.ndim < 2:
            torch.nn.init.normal_(weight, 1.0, 0.5)
        if ".time." in name:  # attention over time begins at zero
            torch.nn.init.normal_(weight, std=0.3)
    header = make_header(config, (SPEC,), VOCABULARY, {})
    return Checkpoint(model.eval().requires_grad_(False), header, VOCABULARY, Path())


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return list(random.integers(0, 255, (count, 72, 128, 3)).astype(np.uint8))


def written(choice: SampledAction) -> tuple[int, ...]:
    """Everything between START and the last END."""
    rest = [token for body in choice.chunk_rest for token in (VOCABULARY.end, *body)]
    return (*choice.tokens, *rest)


def play(engine: Engine, session: Session, frames: list[np.ndarray]) -> list[tuple[int, ...]]:
    return [written(engine.act([session], [frame], ["chop a tree"])[0]) for frame in frames]


def window(
    frames: list[np.ndarray],
    bodies: list[tuple[int, ...]],
    *,
    shown: bool,
    thought: Sequence[int] = (),
) -> Batch:
    """One training window of these frames and actions, all of them present."""
    count = len(frames)
    actions = torch.zeros(1, count, 2 + max(map(len, bodies)), dtype=torch.long)
    for t, body in enumerate(bodies):
        ids = [VOCABULARY.start, *body, VOCABULARY.end]
        actions[0, t, : len(ids)] = torch.tensor(ids)
    text = torch.zeros(1, 20, dtype=torch.long)
    words = VOCABULARY.text_ids("chop a tree", 20)
    text[0, : len(words)] = torch.tensor(words)
    every = torch.ones(1, count, dtype=torch.bool)
    said = torch.zeros(1, 32, dtype=torch.long)
    said[0, : len(thought)] = torch.tensor(thought)
    pixels = torch.from_numpy(np.stack(frames))[None]
    first = torch.zeros(1, dtype=torch.long)
    return Batch(pixels, every, text, actions, every, said, torch.tensor([not shown]), first)


def log_probability(checkpoint: Checkpoint, batch: Batch, t: int, body: tuple[int, ...]) -> float:
    """Of an action of the window's frame t, by one pass over the whole window."""
    scores = checkpoint.model.logits(checkpoint.model(batch).actions[0, t]).double()
    total = 0.0
    for k, token in enumerate((*body, VOCABULARY.end)):
        allowed = ATTACHMENT.legal_next(body[:k])
        total += float(scores[k, list(allowed)].log_softmax(0)[allowed.index(token)])
    return total


PAPER = {
    "backbone": "paper",
    "frame_height": 72,
    "frame_width": 128,
    "patch": 8,
    "pooled_grid": (3, 4),
    "global_token": True,
    "context_frames": 4,
    "positions": 256,
    "max_thought_tokens": 8,
    "mae_blocks": 1,
}

OVER_TIME = {**PAPER, "temporal_attention": True}
OWN = {"width": 64, "heads": 2, "stem_widths": (32, 32, 32)}
"""Sizes that our own code computes, where it can."""
CHUNK = {"action_chunk": 3, "max_action_tokens": ATTACHMENT.max_chunk_tokens(3)}


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize(
    "changes", [{}, OWN, PAPER, OVER_TIME], ids=["compact", "own", "ring", "over time"]
)
def test_streaming_equals_the_whole_window(changes: dict[str, object], shown: bool) -> None:
    checkpoint = random_checkpoint(**changes)
    engine = Engine(checkpoint, EngineOptions(condition_on_actions=shown))
    frames = pictures(11)  # the memory goes round more than twice
    session = engine.open(ATTACHMENT, 1)
    choices = [engine.act([session], [f], ["chop a tree"])[0] for f in frames]
    batch = window(frames, [c.tokens for c in choices], shown=shown)
    for t, choice in enumerate(choices):
        expected = log_probability(checkpoint, batch, t, choice.tokens)
        assert np.log(choice.probability) == pytest.approx(expected, abs=1e-4)


def greedy(checkpoint: Checkpoint, batch: Batch, t: int) -> list[int]:
    """The likeliest legal token at every place of the chunk of the window's frame t, by one pass."""
    scores = checkpoint.model.logits(checkpoint.model(batch).actions[0, t])
    found, body = [], ()
    for k, token in enumerate(batch.actions[0, t, 1:].tolist()):
        if not token:
            break
        allowed = list(ATTACHMENT.legal_next(body))
        found.append(allowed[int(scores[k, allowed].argmax())])
        body = () if token == VOCABULARY.end else (*body, token)
    return found


@pytest.mark.parametrize(
    "changes", [{}, OWN, PAPER, OVER_TIME], ids=["compact", "own", "ring", "over time"]
)
def test_a_streamed_chunk_is_that_of_the_whole_window(changes: dict[str, object]) -> None:
    checkpoint = random_checkpoint(**changes, **CHUNK)
    engine, frames = Engine(checkpoint, EngineOptions(temperature=0)), pictures(9)
    session = engine.open(ATTACHMENT, 1)
    choices = [engine.act([session], [f], ["chop a tree"])[0] for f in frames]
    batch = window(frames, [written(c) for c in choices], shown=False)
    for t, choice in enumerate(choices):
        assert len(choice.chunk_rest) == 2
        assert greedy(checkpoint, batch, t) == [*written(choice), VOCABULARY.end]
        expected = log_probability(checkpoint, batch, t, choice.tokens)
        assert np.log(choice.probability) == pytest.approx(expected, abs=1e-4)


def test_every_action_of_a_chunk_is_legal() -> None:
    engine = Engine(random_checkpoint(**CHUNK))
    session = engine.open(ATTACHMENT, 2)
    for frame in pictures(8):
        choice = engine.act([session], [frame], ["chop a tree"])[0]
        for body in (choice.tokens, *choice.chunk_rest):
            assert ATTACHMENT.encode(ATTACHMENT.decode(body))[1:-1] == list(body)


def test_a_model_of_chunks_sees_no_earlier_actions() -> None:
    with pytest.raises(ConfigError, match="play without condition_on_actions"):
        Engine(random_checkpoint(**CHUNK), EngineOptions(condition_on_actions=True))


def test_memory_keeps_every_third_frame_as_training_windows_do() -> None:
    checkpoint = random_checkpoint(frame_stride=3)
    engine = Engine(checkpoint)
    frames = pictures(12)
    session = engine.open(ATTACHMENT, 1)
    for t, frame in enumerate(frames):
        choice = engine.act([session], [frame], ["chop a tree"])[0]
        seen = [*frames[0:t:3], frame]
        batch = window(seen, [()] * (len(seen) - 1) + [choice.tokens], shown=False)
        expected = log_probability(checkpoint, batch, len(seen) - 1, choice.tokens)
        assert np.log(choice.probability) == pytest.approx(expected, abs=1e-4)


def test_memory_holds_what_the_game_did() -> None:
    checkpoint = random_checkpoint()
    engine = Engine(checkpoint, EngineOptions(condition_on_actions=True))
    done = {**SPEC.null_action(), "jump": 1, "camera": (0.0, 9.0)}
    body = tuple(ATTACHMENT.encode(done)[1:-1])
    frames = pictures(4)
    session = engine.open(ATTACHMENT, 1)
    for t, frame in enumerate(frames):
        choice = engine.act([session], [frame], ["chop a tree"], [done if t else None])[0]
        batch = window(frames[: t + 1], [body] * t + [choice.tokens], shown=True)
        expected = log_probability(checkpoint, batch, t, choice.tokens)
        assert np.log(choice.probability) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("backbone", ["compact", "paper"])
def test_why_is_the_thought_of_the_whole_window(backbone: str) -> None:
    checkpoint = random_checkpoint(**PAPER if backbone == "paper" else {"max_thought_tokens": 8})
    if backbone == "paper":
        torch.nn.init.normal_(checkpoint.model.decoder.position.weight, std=4.0)
    else:
        checkpoint.model.output_bias.zero_()  # or one word would win everywhere
        torch.nn.init.normal_(checkpoint.model.thought_slot, std=4.0)
    engine = Engine(checkpoint)
    session, frames = engine.open(ATTACHMENT, 1), pictures(4 if backbone == "paper" else 5)
    assert engine.generate_thought(session) == ""
    bodies = [engine.act([session], [f], ["chop a tree"])[0].tokens for f in frames]
    told = [THOUGHT]
    while len(told) < 8:
        batch = window(frames, bodies, shown=False, thought=told)
        batch.thought_ids = batch.thought_ids[:, :8]
        hidden = checkpoint.model(batch).thought[0, len(told) - 1]
        best = int(checkpoint.model.logits(hidden)[: VOCABULARY.text_size].argmax())
        if best == EOS:
            break
        told.append(best)
    assert engine.generate_thought(session) == VOCABULARY.decode_text(told)


def test_a_row_is_given_back_once() -> None:
    engine = Engine(random_checkpoint())
    first = engine.open(ATTACHMENT, 0)
    engine.close(first)
    engine.close(first)
    assert engine.open(ATTACHMENT, 0).slot != engine.open(ATTACHMENT, 0).slot


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("changes", "shown"),
    [({}, False), ({}, True), (OVER_TIME, False), (OVER_TIME, True), (CHUNK, False)],
)
def test_batched_sessions_act_as_alone(
    changes: dict[str, object], stride: int, shown: bool
) -> None:
    checkpoint = random_checkpoint(**{"frame_stride": stride, **changes})
    options = EngineOptions(condition_on_actions=shown)
    alone, together = Engine(checkpoint, options), Engine(checkpoint, options)
    plays = [pictures(6, seed) for seed in range(3)]
    expected = [play(alone, alone.open(ATTACHMENT, k), frames) for k, frames in enumerate(plays)]
    sessions = [together.open(ATTACHMENT, k) for k in range(3)]
    found = [
        [written(c) for c in together.act(sessions, [p[t] for p in plays], ["chop a tree"] * 3)]
        for t in range(6)
    ]
    assert [list(bodies) for bodies in zip(*found, strict=True)] == expected


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("changes", [{}, CHUNK, {**PAPER, **CHUNK}])
def test_the_draft_changes_nothing(changes: dict[str, object], temperature: float) -> None:
    checkpoint = random_checkpoint(**changes)
    with_draft, without = (
        Engine(checkpoint, EngineOptions(temperature, draft=draft)) for draft in (True, False)
    )
    frames = pictures(2) * 4
    first = play(with_draft, with_draft.open(ATTACHMENT, 5), frames)
    assert first == play(without, without.open(ATTACHMENT, 5), frames)


def test_another_instruction_empties_the_memory_and_why_changes_nothing() -> None:
    engine = Engine(random_checkpoint(), EngineOptions(num_candidates=3))
    fresh, used = engine.open(ATTACHMENT, 0), engine.open(ATTACHMENT, 0)
    frames = pictures(4)
    for frame in frames[:3]:
        engine.act([used], [frame], ["chop a tree"])
    used.rng = np.random.default_rng(0)
    engine.generate_thought(used)
    a, b = engine.act([fresh, used], [frames[3]] * 2, ["hunt the pig"] * 2)
    assert a.tokens == b.tokens
    assert a.probability == pytest.approx(b.probability, abs=1e-6)
    assert [body for body, _ in a.alternatives] == [body for body, _ in b.alternatives]
    assert a.alternatives[0][1] >= a.alternatives[-1][1]


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("changes", [{}, OWN, PAPER], ids=["compact", "own", "ring"])
def test_alternatives_have_exact_probabilities(changes: dict[str, object], shown: bool) -> None:
    """Those of a pass over the whole window in which they were done instead, for players in one batch."""
    checkpoint = random_checkpoint(**changes)
    engine = Engine(checkpoint, EngineOptions(num_candidates=4, condition_on_actions=shown))
    sessions = [engine.open(ATTACHMENT, seed) for seed in range(3)]
    seen = [pictures(7, seed) for seed in range(3)]
    done: list[list[tuple[int, ...]]] = [[] for _ in sessions]
    for t in range(7):
        choices = engine.act(sessions, [frames[t] for frames in seen], ["chop a tree"] * 3)
        for frames, before, choice in zip(seen, done, choices, strict=True):
            assert len(choice.alternatives) == len({body for body, _ in choice.alternatives}) > 1
            for body, probability in choice.alternatives:
                batch = window(frames[: t + 1], [*before, body], shown=shown)
                expected = log_probability(checkpoint, batch, t, body)
                assert np.log(probability) == pytest.approx(expected, abs=1e-4)
            before.append(choice.tokens)


def test_weighing_alternatives_changes_nothing() -> None:
    checkpoint, frames = random_checkpoint(), pictures(9)
    found = []
    for count in (0, 5):
        engine = Engine(checkpoint, EngineOptions(num_candidates=count, condition_on_actions=True))
        found.append(play(engine, engine.open(ATTACHMENT, 3), frames))
    assert found[0] == found[1]


@pytest.mark.parametrize("sizes", [{}, PAPER], ids=["compact", "paper"])
@pytest.mark.parametrize(
    ("rest", "processor"),
    [
        pytest.param(
            "bfloat16",
            HERE,
            marks=pytest.mark.skipif(
                "onednn" not in HERE.support("int8").backends, reason="no VNNI here"
            ),
        ),
        pytest.param(
            "float32",
            replace(HERE, vectors="AVX2", has_vnni=False),
            marks=pytest.mark.skipif(not HERE.can_use_fbgemm, reason="no FBGEMM here"),
        ),
    ],
    ids=["onednn", "fbgemm"],
)
def test_whole_numbers_draw_from_nearly_the_same_chances(
    rest: Precision, processor: Processor, sizes: dict[str, object]
) -> None:
    """As the precision that attention and sums stay in."""
    checkpoint, frames = random_checkpoint(**sizes), pictures(30)
    choices = []
    for precision in (rest, "int8"):
        engine = Engine(checkpoint, EngineOptions(temperature=0, precision=precision), processor)
        session = engine.open(ATTACHMENT, 1)
        choices.append([engine.act([session], [frame], ["chop a tree"])[0] for frame in frames])
    pairs = list(zip(*choices, strict=True))[16:]
    for half, whole in pairs:
        assert whole.entropy == pytest.approx(half.entropy, abs=0.05)
    assert any(whole.entropy != half.entropy for half, whole in pairs)


@pytest.mark.parametrize(
    ("precision", "apart"),
    [
        ("float32", 1e-5),
        pytest.param(
            "bfloat16",
            0.02,
            marks=pytest.mark.skipif(
                not HERE.support("bfloat16"), reason="this processor multiplies no bfloat16"
            ),
        ),
    ],
)
def test_sixteen_players_of_the_shipped_model_are_as_uncertain_as_alone(
    precision: Precision, apart: float
) -> None:
    """Of the first token's chances, in nats: how far a batch is from each player alone."""
    checkpoint, frames = load(DEFAULT_CHECKPOINT), expert_trace().frames
    engine = Engine(checkpoint, EngineOptions(temperature=0, precision=precision))

    def entropies(players: range) -> Logits:
        sessions = [engine.open(ActionCodec(SPEC, checkpoint.vocabulary), k) for k in players]
        found = [
            engine.act(sessions, [frames[(t + 3 * k) % len(frames)] for k in players], ["chop a tree"] * len(players))
            for t in range(6)
        ]  # fmt: skip
        for session in sessions:
            engine.close(session)
        return np.array([[choice.entropy for choice in choices] for choices in found])

    together = entropies(range(16))
    alone = np.concatenate([entropies(range(k, k + 1)) for k in range(16)], 1)
    assert np.abs(together - alone).max() < apart
    assert together.std() > 0.3  # they are unlike each other

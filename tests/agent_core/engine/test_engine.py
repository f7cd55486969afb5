"""Tests of the engine: streaming equals whole windows, batches equal single sessions, drafts change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from agent_core.config import ModelConfig
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.session import ActionTokens, SampledAction, Session
from agent_core.errors import ConfigError
from agent_core.model import IAFM
from agent_core.model.batch import Batch
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import EOS, THOUGHT, build_vocabulary
from agent_core.weights.checkpoint import Checkpoint, make_header
from games import Frame
from games.voxel.spec import SPEC

pytestmark = pytest.mark.processor
TEXTS = ["chop a tree", "hunt the pig", "wood: it is far, walk"]
VOCABULARY = build_vocabulary([SPEC], TEXTS, 320)
CODEC = ActionCodec(SPEC, VOCABULARY)


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
        if ".time." in name:  # temporal attention is initialized to zero
            torch.nn.init.normal_(weight, std=0.3)
    header = make_header(config, (SPEC,), VOCABULARY, {})
    return Checkpoint(model.eval().requires_grad_(False), header, VOCABULARY, Path())


def random_frames(count: int, seed: int = 0) -> list[Frame]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 255, (count, 72, 128, 3)).astype(np.uint8))


def chunk_tokens(sample: SampledAction) -> ActionTokens:
    """Tokens of a chunk between START and the last END."""
    rest = [token for action in sample.chunk_rest for token in (VOCABULARY.end, *action)]
    return (*sample.tokens, *rest)


def play(engine: Engine, session: Session, frames: list[Frame]) -> list[ActionTokens]:
    return [chunk_tokens(engine.act([session], [frame], ["chop a tree"])[0]) for frame in frames]


def window(
    frames: list[Frame],
    actions: list[ActionTokens],
    *,
    condition_on_actions: bool,
    thought: Sequence[int] = (),
) -> Batch:
    """One training window of these frames and actions, all of them present."""
    count = len(frames)
    action_ids = torch.zeros(1, count, 2 + max(map(len, actions)), dtype=torch.long)
    for t, tokens in enumerate(actions):
        ids = [VOCABULARY.start, *tokens, VOCABULARY.end]
        action_ids[0, t, : len(ids)] = torch.tensor(ids)
    instruction_ids = torch.zeros(1, 20, dtype=torch.long)
    text = VOCABULARY.text_ids("chop a tree", 20)
    instruction_ids[0, : len(text)] = torch.tensor(text)
    thought_ids = torch.zeros(1, 32, dtype=torch.long)
    thought_ids[0, : len(thought)] = torch.tensor(thought)
    every = torch.ones(1, count, dtype=torch.bool)
    return Batch(
        torch.from_numpy(np.stack(frames))[None],
        every,
        instruction_ids,
        action_ids,
        every,
        thought_ids,
        torch.tensor([not condition_on_actions]),
        torch.zeros(1, dtype=torch.long),
    )


def log_probability(checkpoint: Checkpoint, batch: Batch, t: int, tokens: ActionTokens) -> float:
    """Log-probability of an action of the window's frame t, by one pass over the whole window."""
    logits = checkpoint.model.logits(checkpoint.model(batch).actions[0, t]).double()
    total = 0.0
    for k, token in enumerate((*tokens, VOCABULARY.end)):
        legal = CODEC.legal_next(tokens[:k])
        total += float(logits[k, list(legal)].log_softmax(0)[legal.index(token)])
    return total


PAPER = {
    "backbone": "paper",
    "text_conditioning": False,
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

TEMPORAL = {**PAPER, "temporal_attention": True}
CUSTOM = {"width": 64, "heads": 2, "stem_widths": (32, 32, 32)}
"""Sizes that the project's own kernels support."""
PLAIN = {"text_conditioning": False}
ONE_CELL = {"pooled_grid": (1, 1), "global_token": True, "stem_blocks": (0, 1, 1)}
CHUNK = {"action_chunk": 3, "max_action_tokens": CODEC.max_chunk_tokens(3)}


@pytest.mark.parametrize("conditioned", [False, True])
@pytest.mark.parametrize(
    "changes",
    [{}, CUSTOM, PLAIN, ONE_CELL, PAPER, TEMPORAL],
    ids=["compact", "custom", "plain", "one cell", "ring", "temporal"],
)
def test_streaming_equals_the_whole_window(changes: dict[str, object], conditioned: bool) -> None:
    checkpoint = random_checkpoint(**changes)
    engine = Engine(checkpoint, EngineOptions(condition_on_actions=conditioned))
    frames = random_frames(11)  # the ring buffer wraps more than twice
    session = engine.open(CODEC, 1)
    samples = [engine.act([session], [f], ["chop a tree"])[0] for f in frames]
    batch = window(frames, [s.tokens for s in samples], condition_on_actions=conditioned)
    for t, sample in enumerate(samples):
        expected = log_probability(checkpoint, batch, t, sample.tokens)
        assert np.log(sample.probability) == pytest.approx(expected, abs=1e-4)


def greedy(checkpoint: Checkpoint, batch: Batch, t: int) -> list[int]:
    """The most likely legal token at every position of the chunk of the window's frame t, by one pass."""
    logits = checkpoint.model.logits(checkpoint.model(batch).actions[0, t])
    best: list[int] = []
    prefix: ActionTokens = ()
    for k, token in enumerate(batch.actions[0, t, 1:].tolist()):
        if not token:
            break
        legal = list(CODEC.legal_next(prefix))
        best.append(legal[int(logits[k, legal].argmax())])
        prefix = () if token == VOCABULARY.end else (*prefix, token)
    return best


@pytest.mark.parametrize(
    "changes", [{}, CUSTOM, PAPER, TEMPORAL], ids=["compact", "custom", "ring", "temporal"]
)
def test_a_streamed_chunk_is_that_of_the_whole_window(changes: dict[str, object]) -> None:
    checkpoint = random_checkpoint(**changes, **CHUNK)
    engine, frames = Engine(checkpoint, EngineOptions(temperature=0)), random_frames(9)
    session = engine.open(CODEC, 1)
    samples = [engine.act([session], [f], ["chop a tree"])[0] for f in frames]
    batch = window(frames, [chunk_tokens(s) for s in samples], condition_on_actions=False)
    for t, sample in enumerate(samples):
        assert len(sample.chunk_rest) == 2
        assert greedy(checkpoint, batch, t) == [*chunk_tokens(sample), VOCABULARY.end]
        expected = log_probability(checkpoint, batch, t, sample.tokens)
        assert np.log(sample.probability) == pytest.approx(expected, abs=1e-4)


def test_every_action_of_a_chunk_is_legal() -> None:
    engine = Engine(random_checkpoint(**CHUNK))
    session = engine.open(CODEC, 2)
    for frame in random_frames(8):
        sample = engine.act([session], [frame], ["chop a tree"])[0]
        for tokens in (sample.tokens, *sample.chunk_rest):
            assert CODEC.encode(CODEC.decode(tokens))[1:-1] == list(tokens)


def test_a_model_of_chunks_sees_no_earlier_actions() -> None:
    with pytest.raises(ConfigError, match="play without condition_on_actions"):
        Engine(random_checkpoint(**CHUNK), EngineOptions(condition_on_actions=True))


def test_memory_keeps_every_third_frame_as_training_windows_do() -> None:
    checkpoint = random_checkpoint(frame_stride=3)
    engine = Engine(checkpoint)
    frames = random_frames(12)
    session = engine.open(CODEC, 1)
    for t, frame in enumerate(frames):
        sample = engine.act([session], [frame], ["chop a tree"])[0]
        context = [*frames[0:t:3], frame]
        actions = [()] * (len(context) - 1) + [sample.tokens]
        batch = window(context, actions, condition_on_actions=False)
        expected = log_probability(checkpoint, batch, len(context) - 1, sample.tokens)
        assert np.log(sample.probability) == pytest.approx(expected, abs=1e-4)


def test_memory_holds_what_the_game_did() -> None:
    checkpoint = random_checkpoint()
    engine = Engine(checkpoint, EngineOptions(condition_on_actions=True))
    executed = {**SPEC.null_action(), "jump": 1, "camera": (0.0, 9.0)}
    tokens = tuple(CODEC.encode(executed)[1:-1])
    frames = random_frames(4)
    session = engine.open(CODEC, 1)
    for t, frame in enumerate(frames):
        sample = engine.act([session], [frame], ["chop a tree"], [executed if t else None])[0]
        batch = window(frames[: t + 1], [tokens] * t + [sample.tokens], condition_on_actions=True)
        expected = log_probability(checkpoint, batch, t, sample.tokens)
        assert np.log(sample.probability) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("backbone", ["compact", "paper"])
def test_why_is_the_thought_of_the_whole_window(backbone: str) -> None:
    checkpoint = random_checkpoint(**PAPER if backbone == "paper" else {"max_thought_tokens": 8})
    if backbone == "paper":
        torch.nn.init.normal_(checkpoint.model.decoder.position.weight, std=4.0)
    else:
        checkpoint.model.output_bias.zero_()  # otherwise one token wins everywhere
        torch.nn.init.normal_(checkpoint.model.thought_slot, std=4.0)
    engine = Engine(checkpoint)
    session, frames = engine.open(CODEC, 1), random_frames(4 if backbone == "paper" else 5)
    assert engine.generate_thought(session) == ""
    actions = [engine.act([session], [f], ["chop a tree"])[0].tokens for f in frames]
    thought = [THOUGHT]
    while len(thought) < 8:
        batch = window(frames, actions, condition_on_actions=False, thought=[*thought, EOS])
        batch.thought_ids = batch.thought_ids[:, :8]
        hidden = checkpoint.model(batch).thought[0, len(thought) - 1]
        best = int(checkpoint.model.logits(hidden)[: VOCABULARY.text_size].argmax())
        if best == EOS:
            break
        thought.append(best)
    assert engine.generate_thought(session) == VOCABULARY.decode_text(thought)


def test_a_row_is_given_back_once() -> None:
    engine = Engine(random_checkpoint())
    first = engine.open(CODEC, 0)
    engine.close(first)
    engine.close(first)
    assert engine.open(CODEC, 0).slot != engine.open(CODEC, 0).slot


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("changes", "conditioned"),
    [({}, False), ({}, True), (PLAIN, False), (TEMPORAL, False), (TEMPORAL, True), (CHUNK, False)],
)
def test_batched_sessions_act_as_alone(
    changes: dict[str, object], stride: int, conditioned: bool
) -> None:
    checkpoint = random_checkpoint(**{"frame_stride": stride, **changes})
    options = EngineOptions(condition_on_actions=conditioned)
    alone, together = Engine(checkpoint, options), Engine(checkpoint, options)
    plays = [random_frames(6, seed) for seed in range(3)]
    expected = [
        [chunk_tokens(alone.act([session], [frame], [text])[0]) for frame in frames]
        for frames, text, session in zip(
            plays, TEXTS, map(alone.open, [CODEC] * 3, range(3)), strict=True
        )
    ]
    sessions = [together.open(CODEC, k) for k in range(3)]
    batched = [
        [chunk_tokens(s) for s in together.act(sessions, [p[t] for p in plays], TEXTS)]
        for t in range(6)
    ]
    assert [list(actions) for actions in zip(*batched, strict=True)] == expected


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("changes", [{}, CHUNK, {**PAPER, **CHUNK}])
def test_the_draft_changes_nothing(changes: dict[str, object], temperature: float) -> None:
    checkpoint = random_checkpoint(**changes)
    with_draft, without = (
        Engine(checkpoint, EngineOptions(temperature, draft=draft)) for draft in (True, False)
    )
    frames = random_frames(2) * 4
    first = play(with_draft, with_draft.open(CODEC, 5), frames)
    assert first == play(without, without.open(CODEC, 5), frames)


@pytest.mark.parametrize("changes", [{}, PLAIN], ids=["compact", "plain"])
def test_another_instruction_empties_the_memory_and_why_changes_nothing(
    changes: dict[str, object],
) -> None:
    engine = Engine(random_checkpoint(**changes), EngineOptions(num_candidates=3))
    fresh, used = engine.open(CODEC, 0), engine.open(CODEC, 0)
    frames = random_frames(4)
    for frame in frames[:3]:
        engine.act([used], [frame], ["chop a tree"])
    used.rng = np.random.default_rng(0)
    engine.generate_thought(used)
    a, b = engine.act([fresh, used], [frames[3]] * 2, ["hunt the pig"] * 2)
    assert a.tokens == b.tokens
    assert a.probability == pytest.approx(b.probability, abs=1e-6)
    assert [tokens for tokens, _ in a.alternatives] == [tokens for tokens, _ in b.alternatives]
    assert a.alternatives[0][1] >= a.alternatives[-1][1]


@pytest.mark.parametrize("conditioned", [False, True])
@pytest.mark.parametrize("changes", [{}, CUSTOM, PAPER], ids=["compact", "custom", "ring"])
def test_alternatives_have_exact_probabilities(
    changes: dict[str, object], conditioned: bool
) -> None:
    """Equal to a pass over the whole window with the alternative as its last action, for sessions of one batch."""
    checkpoint = random_checkpoint(**changes)
    engine = Engine(checkpoint, EngineOptions(num_candidates=4, condition_on_actions=conditioned))
    sessions = [engine.open(CODEC, seed) for seed in range(3)]
    plays = [random_frames(7, seed) for seed in range(3)]
    actions: list[list[ActionTokens]] = [[] for _ in sessions]
    for t in range(7):
        samples = engine.act(sessions, [frames[t] for frames in plays], ["chop a tree"] * 3)
        for frames, before, sample in zip(plays, actions, samples, strict=True):
            assert len(sample.alternatives) == len(dict(sample.alternatives)) > 1
            for tokens, probability in sample.alternatives:
                batch = window(frames[: t + 1], [*before, tokens], condition_on_actions=conditioned)
                expected = log_probability(checkpoint, batch, t, tokens)
                assert np.log(probability) == pytest.approx(expected, abs=1e-4)
            before.append(sample.tokens)


def test_weighing_alternatives_changes_nothing() -> None:
    checkpoint, frames = random_checkpoint(), random_frames(9)
    plays = []
    for count in (0, 5):
        engine = Engine(checkpoint, EngineOptions(num_candidates=count, condition_on_actions=True))
        plays.append(play(engine, engine.open(CODEC, 3), frames))
    assert plays[0] == plays[1]

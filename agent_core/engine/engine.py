"""Streaming inference engine: one action (or action chunk) per frame, for many sessions in one batch.

Theory of operation
-------------------
Every session owns one row of the KV cache (`agent_core.engine.cache_layout` says which cache slot holds which token).
Its instruction is prefilled once, together with what it does to the stem where text conditions it; another instruction
resets the row. Then each call of `Engine.act` appends one frame per session. All sessions of a call share every forward
pass. A call has four steps.

1. Prefill. One pass takes the executed action of the last frame (if actions are conditioned on earlier ones), the
   visual tokens of the new frame, [STARTACTION] and a draft of the action. The draft is the last action, or the last
   action chunk shifted by one step. The pass gives the logits behind START and behind every draft token.
2. Decode. The sampler draws token after token from the model's distribution under the grammar's logit mask. While it
   draws what the draft says, the logits of the next token are already there. This is speculative decoding with a free
   draft; the drawn tokens are distributed as without it. A token without a legal alternative needs no logits.
3. Verify and continue. Sessions that drew another token go through one more pass: the drawn tokens and a new draft
   behind them, written over the rejected draft in the cache. Steps 2 and 3 repeat until every chunk is complete.
4. Finalize. Alternatives to the sampled action are scored in one pass over the scratch slots of the cache, which no
   later token attends to. The sampled chunk becomes the draft of the next call.

Only every `frame_stride`-th frame stays in the cache; any other one is overwritten by the frame after it. In a batch,
a session with fewer new tokens repeats its last one at the same cache slot, which writes the same keys and values.

In the shapes below B is sessions, Q new tokens of a session, V visual tokens of a frame, A action tokens, D the width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agent_core.cpu.capability import Precision, Processor
from agent_core.cpu.inference_model import CustomLayer, InferenceModel
from agent_core.engine.cache_layout import (
    CandidateTokens,
    Indices,
    TokenPositions,
    pad_sequences,
    pad_with_last,
)
from agent_core.engine.cuda_graphs import CaptureFn, capture_for
from agent_core.engine.kv_cache import KVCache
from agent_core.engine.sampling import ActionSampler, Candidate, DecodeState, Logits
from agent_core.engine.session import ActionTokens, SampledAction, Session
from agent_core.engine.thought import generate_thought
from agent_core.errors import ConfigError
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import THOUGHT
from agent_core.weights.checkpoint import Checkpoint
from games import Action, Frame


@dataclass(frozen=True)
class EngineOptions:
    """Sampling and precision settings of an engine."""

    temperature: float = 1.0
    """0 is greedy decoding."""
    num_candidates: int = 0
    """Alternatives that are scored beside each sampled action."""
    condition_on_actions: bool = False
    """Whether earlier actions are attended to; without them the model cannot copy the last action."""
    draft: bool = True
    """Speculative decoding; changes the speed alone."""
    precision: Precision = "float32"
    """Of weights and KV cache; sampling computes in float64. With int8 the first frames run in bfloat16 and calibrate
    the activation ranges, then matrices are quantized; without VNNI it is int8 matrices and float32 from the start."""


class Engine:
    """Streaming inference over a pool of sessions; not thread-safe.

    Raises `ConfigError` for `condition_on_actions` with a model that predicts action chunks, and for a precision that
    the model's device does not compute in.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: EngineOptions | None = None,
        processor: Processor | None = None,
        capture: CaptureFn | None = None,
    ) -> None:
        """`processor` (of a model on a CPU) and `capture` (of CUDA graphs) default to what this machine has."""
        self.options = options or EngineOptions()
        self._inference_model = InferenceModel(checkpoint.model, self.options.precision, processor)
        self.model, self.vocabulary = self._inference_model.model, checkpoint.vocabulary
        config = self.config = checkpoint.header.model
        if config.action_chunk > 1 and self.options.condition_on_actions:
            raise ConfigError(
                f"this checkpoint predicts {config.action_chunk} actions per frame (model.action_chunk) and was "
                "not trained with earlier actions in its context; play without condition_on_actions"
            )
        options, end = self.options, self.vocabulary.end
        self.sampler = ActionSampler(options.temperature, options.draft, end, config.action_chunk)
        self._output_head = self._inference_model.output_head(slice(end, self.vocabulary.size))
        capture = capture or capture_for(self.model.token.weight.device)
        self.kv_cache = KVCache(
            self.model, options.condition_on_actions, options.num_candidates, capture
        )
        self._free_slots: list[int] = []

    @property
    def custom_layers(self) -> tuple[CustomLayer, ...]:
        """Layers computed by this project's kernels, on processors that have the instructions for them."""
        return self._inference_model.custom_layers

    def reserve(self, sessions: int) -> None:
        """Allocate the KV cache for `sessions` sessions in all; growing in steps copies it at each step."""
        rows = len(self.kv_cache)
        if sessions > rows:
            self.kv_cache.grow(sessions - rows)
            self._free_slots += range(rows, sessions)

    def open(self, codec: ActionCodec, seed: int) -> Session:
        """Open a session; its samples depend on `seed` and its own frames alone."""
        if not self._free_slots:
            self.reserve(max(1, 2 * len(self.kv_cache)))
        return Session(self._free_slots.pop(0), codec, np.random.default_rng(seed))

    def close(self, session: Session) -> None:
        """Free the session's cache row; the session must not be used again. Closing twice is allowed."""
        if session.closed:
            return
        session.closed = True
        self.reset(session)
        self._free_slots.append(session.slot)

    def reset(self, session: Session) -> None:
        """Clear the session's context, for a new episode or a new instruction."""
        session.instruction, session.frame_index, session.step = None, -1, 0
        session.last_actions, session.frame_in_cache, session.last_sample = ((),), False, None
        self.kv_cache.layout.reset(session.slot)

    @torch.inference_mode()
    def act(
        self,
        sessions: Sequence[Session],
        frames: Sequence[Frame],
        instructions: Sequence[str],
        executed: Sequence[Action | None] | None = None,
    ) -> list[SampledAction]:
        """Sample one action (or action chunk) per session after its newest frame (H, W, 3) uint8 RGB.

        The sessions must be distinct. `executed` is what each game did at the last step, or None where that was the
        sampled action; it counts only with `condition_on_actions`.
        """
        self._prefill_instructions(sessions, instructions)
        executed_ids: list[list[int]] = []
        if self.options.condition_on_actions:
            executed_ids = self._executed_tokens(sessions, executed or [None] * len(sessions))
        states = self._prefill_frame(sessions, frames, executed_ids)
        unfinished = self.sampler.decode(states)
        while unfinished:
            self._verify_and_continue(unfinished)
            unfinished = self.sampler.decode(unfinished)
        self._inference_model.observe(len(frames))
        return self._finalize(states)

    @torch.inference_mode()
    def generate_thought(self, session: Session, kind: int = THOUGHT) -> str:
        """Decode the thought (or `CAPTION`) of the newest frame greedily; later actions do not depend on it."""
        return generate_thought(self.kv_cache, self.vocabulary, session, kind)

    def _prefill_instructions(
        self, sessions: Sequence[Session], instructions: Sequence[str]
    ) -> None:
        """Prefill new instructions; a changed one resets its session."""
        pairs = zip(sessions, instructions, strict=True)
        changed = [(session, text) for session, text in pairs if session.instruction != text]
        if not changed:
            return
        length = self.config.max_text_tokens
        for session, text in changed:
            self.reset(session)
            session.instruction = text
        ids = pad_sequences([self.vocabulary.text_ids(t, length) for _, t in changed], length)
        cache, batch_slots = self.kv_cache, _slots([session for session, _ in changed])
        cache.layout.set_text_length(np.array(batch_slots), (ids != 0).sum(1))
        # padding is computed too: its cache slots are masked from every later token
        bias_index = cache.to_device(cache.layout.text_mask()).expand(len(changed), -1, -1)
        cache_slots = cache.to_device(np.arange(length)).expand(len(changed), -1)
        text_ids, rows = cache.to_device(ids), cache.slot_index(batch_slots)
        if cache.conditioning is not None:
            cache.conditioning[rows] = self.model.condition_on_text(text_ids)
        x = self.model.embed_text(text_ids)
        self.model.decoder.forward_cached(x, bias_index, cache.kv, rows, cache_slots)

    def _executed_tokens(
        self, sessions: Sequence[Session], executed: Sequence[Action | None]
    ) -> list[list[int]]:
        """Token ids of the actions executed after the last frames, empty where that frame does not stay in the cache.

        Their lengths are set in the cache layout, so that the new frames attend to them.
        """
        ids: list[list[int]] = []
        for session, action in zip(sessions, executed, strict=True):
            tokens: list[int] = []
            if session.frame_in_cache:
                sampled = [self.vocabulary.start, *session.last_actions[0], self.vocabulary.end]
                tokens = sampled if action is None else session.codec.encode(action)
                tokens = tokens[: self.config.max_action_tokens]
                layout = self.kv_cache.layout
                layout.set_action_length(session.slot, session.frame_index, len(tokens))
            ids.append(tokens)
        return ids

    def _prefill_frame(
        self, sessions: Sequence[Session], frames: Sequence[Frame], executed_ids: list[list[int]]
    ) -> list[DecodeState]:
        """Prefill one frame per session: executed action, visual tokens, START and draft in one pass."""
        executed = self._embed_executed(sessions, executed_ids)
        drafts = [self.sampler.draft(session) for session in sessions]
        self._advance(sessions)
        visual = self._encode_frames(sessions, frames)  # (B, V, D)
        started = [(self.vocabulary.start, *draft) for draft in drafts]
        actions = self._embed_actions(sessions, started)  # (B, 1 + draft, D)
        x = torch.cat([self.model.embed_visual(visual), actions], 1)
        groups = [self._frame_positions(sessions, 0, x.shape[1])]
        if executed is not None:
            x = torch.cat([executed[0], x], 1)
            groups.insert(0, executed[1])
        # only START and the draft need logits, so the last layer skips all other tokens
        hidden = self.kv_cache.forward_cached(_slots(sessions), x, groups, last_n=actions.shape[1])
        logits = self._logits(hidden)
        return [
            DecodeState(session, logits[k], draft)
            for k, (session, draft) in enumerate(zip(sessions, drafts, strict=True))
        ]

    def _embed_executed(
        self, sessions: Sequence[Session], executed_ids: list[list[int]]
    ) -> tuple[Tensor, TokenPositions] | None:
        """Embeddings (B, A, D) and positions of executed actions, to be prefilled together with the next frames.

        Where only some sessions have executed tokens to prefill, a pass of its own does it and nothing is returned.
        """
        if not any(executed_ids):
            return None
        pairs = [(s, ids) for s, ids in zip(sessions, executed_ids, strict=True) if ids]
        some = [session for session, _ in pairs]
        x = self._embed_actions(some, [ids for _, ids in pairs])
        positions = self._frame_positions(some, self.config.visual_tokens, x.shape[1])
        if len(some) == len(sessions):
            return x, positions
        self.kv_cache.forward_cached(_slots(some), x, [positions])
        return None

    def _advance(self, sessions: Sequence[Session]) -> None:
        """Count the new frame; it takes over the frame index of a frame that does not stay in the cache."""
        for session in sessions:
            session.frame_index += int(session.frame_in_cache or session.frame_index < 0)
            session.frame_in_cache = session.step % self.config.frame_stride == 0
            session.step += 1

    def _encode_frames(self, sessions: Sequence[Session], frames: Sequence[Frame]) -> Tensor:
        """Visual tokens (B, V, D) of the newest frames, whose place in the cache is taken now."""
        cache, batch_slots = self.kv_cache, _slots(sessions)
        rows, frame_index = np.array(batch_slots), _frame_indices(sessions)
        cache.layout.add_frame(rows, frame_index)
        visual = cache.encode_frames(frames, rows, frame_index)
        if self.model.conditions_on_global:
            cache.global_token[cache.slot_index(batch_slots)] = self.model.global_token(visual)
        return visual

    def _embed_actions(self, sessions: Sequence[Session], ids: Sequence[Sequence[int]]) -> Tensor:
        """Embeddings (B, longest, D) of action tokens from START on, conditioned on the newest frames."""
        cache = self.kv_cache
        global_token = cache.global_token[cache.slot_index(_slots(sessions))]
        return self.model.embed_action(cache.to_device(pad_sequences(ids)), global_token)

    def _verify_and_continue(self, states: Sequence[DecodeState]) -> None:
        """Run the tokens drawn against the draft, and a new draft behind them, through the decoder."""
        sessions = [state.session for state in states]
        drafts = [self.sampler.draft(state.session, state.actions) for state in states]
        pairs = zip(states, drafts, strict=True)
        ids, offset = pad_with_last(
            [[*state.pending, *draft] for state, draft in pairs],
            [state.next_offset for state in states],
        )
        cache, batch_slots = self.kv_cache, _slots(sessions)
        x = self.model.embed_action(
            cache.to_device(ids),
            cache.global_token[cache.slot_index(batch_slots)],
            cache.to_device(offset),
        )
        positions = _newest_tokens(sessions, self.config.visual_tokens + offset)
        hidden = cache.forward_cached(batch_slots, x, [positions])
        for state, draft, logits in zip(states, drafts, self._logits(hidden), strict=True):
            state.set_logits(logits[len(state.pending) - 1 :], draft)

    def _finalize(self, states: Sequence[DecodeState]) -> list[SampledAction]:
        """Turn complete chunks into samples with their alternatives, and remember them in the sessions."""
        count, samples = self.options.num_candidates, []
        candidates = [self.sampler.candidates(state, count) if count else () for state in states]
        for state, scored in zip(states, self._score_candidates(states, candidates), strict=True):
            tokens, *chunk_rest = state.session.last_actions = tuple(map(tuple, state.actions))
            probability = math.exp(state.log_p)
            ranked = [(tokens, probability), *scored] if count else []
            ranked.sort(key=lambda pair: -pair[1])
            sample = SampledAction(
                tokens, probability, state.entropy, tuple(ranked[:count]), tuple(chunk_rest)
            )
            state.session.last_sample = sample
            samples.append(sample)
        return samples

    def _score_candidates(
        self, states: Sequence[DecodeState], candidates: Sequence[Sequence[Candidate]]
    ) -> list[list[tuple[ActionTokens, float]]]:
        """Candidates with their exact probabilities; one pass scores all that the decoded logits do not cover."""
        scored = [
            [(c.tokens, float(np.exp(c.log_p))) for c in row if c.is_scored] for row in candidates
        ]
        unscored = [[c for c in row if not c.is_scored] for row in candidates]
        rows = [k for k, row in enumerate(unscored) if row]
        if not rows:
            return scored
        sessions = [states[k].session for k in rows]
        logits = self._candidate_logits(sessions, [unscored[k] for k in rows])
        for k, session, of_session in zip(rows, sessions, logits, strict=True):
            begin = 0  # candidates follow each other, each one with START before it
            for candidate in unscored[k]:
                log_p = self.sampler.score(candidate, of_session[begin:], session.codec)
                scored[k].append((candidate.tokens, float(np.exp(log_p))))
                begin += 1 + len(candidate.tokens)
        return scored

    def _candidate_logits(
        self, sessions: Sequence[Session], candidates: Sequence[Sequence[Candidate]]
    ) -> Logits:
        """(B, Q, ids from END on) logits of all candidates' tokens, computed in the scratch slots."""
        start = self.vocabulary.start
        tokens = CandidateTokens.of([[(start, *c.tokens) for c in row] for row in candidates])
        cache, layout, batch_slots = self.kv_cache, self.kv_cache.layout, _slots(sessions)
        positions = _newest_tokens(sessions, self.config.visual_tokens + tokens.offset)
        mask = layout.candidate_mask(positions.batch_slots, positions.frame_index, tokens)
        index = cache.slot_index(batch_slots)
        x = self.model.embed_action(
            cache.to_device(tokens.ids), cache.global_token[index], cache.to_device(tokens.offset)
        )
        hidden = self.model.decoder.forward_cached(
            x,
            cache.to_device(mask),
            cache.kv,
            index,
            cache.to_device(layout.scratch_start + tokens.index),
            cache.to_device(layout.position_ids(positions)),
        )
        return self._logits(hidden)

    def _logits(self, hidden: Tensor) -> Logits:
        """Hidden states (B, Q, D) -> logits (B, Q, ids from END on) as float64 on the CPU."""
        logits: Logits = self._output_head(hidden).double().cpu().numpy()
        return logits

    def _frame_positions(
        self, sessions: Sequence[Session], first: int, count: int
    ) -> TokenPositions:
        """Positions of `count` tokens of the newest frames, from offset `first` on."""
        offset = np.arange(first, first + count)
        return _newest_tokens(sessions, offset[None].repeat(len(sessions), 0))


def _slots(sessions: Sequence[Session]) -> list[int]:
    return [session.slot for session in sessions]


def _frame_indices(sessions: Sequence[Session]) -> Indices:
    return np.array([session.frame_index for session in sessions])


def _newest_tokens(sessions: Sequence[Session], offset: Indices) -> TokenPositions:
    """Positions of tokens of the newest frames, at offsets (B, Q)."""
    return TokenPositions(np.array(_slots(sessions)), _frame_indices(sessions), offset)

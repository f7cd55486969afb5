"""What does the model do next, frame by frame, for many players at once?

Theory of operation. Every session owns one row of a cache of keys and values; `agent_core.engine.cache_layout` tells
what stands where. A frame that memory does not keep (all but every `history_stride`-th) is overwritten by the next one.

One pass takes what was done, the picture, [STARTACTION] and a draft: the previous action, or the previous chunk a step
further on. Each token is then drawn from the model's own distribution, and as long as it agrees with the draft its
successor's distribution is already there (speculative decoding without loss). The grammar masks illegal tokens and
begins anew after each [ENDOFACTION] of a chunk; a token without alternative needs no pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agent_core.config import ConfigError
from agent_core.cpu.capability import Precision, Processor
from agent_core.cpu.inference_model import CustomLayer, InferenceModel
from agent_core.engine.cache_layout import CandidateTokens, Indices, TokenPositions, pad_sequences
from agent_core.engine.kv_cache import KVCache
from agent_core.engine.sampling import ActionSampler, Candidate, DecodeState, Logits
from agent_core.engine.session import ActionTokens, SampledAction, Session
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import EOS, THOUGHT
from agent_core.weights.checkpoint import Checkpoint
from games import Action, Frame


@dataclass(frozen=True)
class EngineOptions:
    """How actions are sampled.

    `condition_on_actions`: whether memory holds earlier actions (False guards against copying).
    """

    temperature: float = 1.0
    """0 is greedy."""
    num_candidates: int = 0
    condition_on_actions: bool = False
    draft: bool = True
    precision: Precision = "float32"
    """Of weights and cache; scores are always computed in float32. int8: bfloat16 for the first frames, which tell
    how far numbers reach, then matrices of whole numbers; without VNNI float32 beside whole numbers from the start."""


class Engine:
    """Streaming inference over a pool of sessions; not thread-safe.

    `processor` counts where the model is on one (default: this machine's). Raises `ConfigError` where earlier actions
    are shown to a model that writes chunks, and for a precision that the model's device does not compute in.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: EngineOptions | None = None,
        processor: Processor | None = None,
    ) -> None:
        self.options = options or EngineOptions()
        self._inference_model = InferenceModel(checkpoint.model, self.options.precision, processor)
        self.model, self.vocabulary = self._inference_model.model, checkpoint.vocabulary
        config = self.config = checkpoint.header.model
        if config.action_chunk > 1 and self.options.condition_on_actions:
            raise ConfigError(
                f"this checkpoint writes {config.action_chunk} actions a frame (model.action_chunk) and "
                "never learned to see earlier ones; play without condition_on_actions"
            )
        options, end = self.options, self.vocabulary.end
        self.sampler = ActionSampler(options.temperature, options.draft, end, config.action_chunk)
        self._output_head = self._inference_model.output_head(slice(end, self.vocabulary.size))
        self.kv_cache = KVCache(self.model, options.condition_on_actions, options.num_candidates)
        self._free: list[int] = []

    @property
    def custom_layers(self) -> tuple[CustomLayer, ...]:
        """Layers that our own code computes, on processors that have the units for it."""
        return self._inference_model.custom_layers

    def reserve(self, sessions: int) -> None:
        """Room for so many sessions in all; growing step by step copies every memory each time."""
        have = len(self.kv_cache)
        if sessions > have:
            self.kv_cache.grow(sessions - have)
            self._free += range(have, sessions)

    def open(self, codec: ActionCodec, seed: int) -> Session:
        """A new session; its draws depend on `seed` and its own frames alone."""
        if not self._free:
            self.reserve(max(1, 2 * len(self.kv_cache)))
        return Session(self._free.pop(0), codec, np.random.default_rng(seed))

    def close(self, session: Session) -> None:
        """Give the session's row back; the session must not be used again. Twice does nothing more."""
        if session.closed:
            return
        session.closed = True
        self.reset(session)
        self._free.append(session.slot)

    def reset(self, session: Session) -> None:
        """Empty the memory: a new episode or a new instruction."""
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
        """One action (or chunk of them) per session from its newest frame; the sessions must be different ones.

        `executed` tells what the game did last, where that was not this engine's action.
        """
        self._prefill_instructions(sessions, instructions)
        executed_ids: list[list[int]] = []
        if self.options.condition_on_actions:
            executed_ids = self._executed_tokens(sessions, executed or [None] * len(sessions))
        states = self._prefill_frame(sessions, frames, executed_ids)
        waiting = self.sampler.decode(states)
        while waiting:
            self._verify_and_continue(waiting)
            waiting = self.sampler.decode(waiting)
        self._inference_model.observe(len(frames))
        return self._finalize(states)

    @torch.inference_mode()
    def generate_thought(self, session: Session, kind: int = THOUGHT) -> str:
        """The thought (or `CAPTION`) that goes with the newest frame, greedily; it leaves no trace in play."""
        if session.frame_index < 0:
            return ""
        memory, ring = self.kv_cache, self.kv_cache.layout
        first = _newest_tokens([session], np.array([[self.config.visual_tokens]]))
        place = int(ring.position_ids(first)[0, 0])
        written = [kind]
        while len(written) < self.config.max_thought_tokens:
            k = len(written) - 1
            seen = ring.thought_mask(session.slot, session.frame_index, len(written))
            hidden = self.model.decoder.forward_cached(
                self.model.embed_thought(memory.to_device(np.array([[written[-1]]])), k),
                memory.to_device(seen[None, None]),
                memory.kv,
                slice(session.slot, session.slot + 1),
                memory.to_device(np.array([[ring.scratch + k]])),
                memory.to_device(np.array([[place + k]])),
            )
            best = int(self.model.logits(hidden)[0, 0, : self.vocabulary.text_size].argmax())
            if best == EOS:
                break
            written.append(best)
        return self.vocabulary.decode_text(written)

    def _prefill_instructions(
        self, sessions: Sequence[Session], instructions: Sequence[str]
    ) -> None:
        """Write new instructions to the cache; a changed one empties the memory."""
        new = [
            (s, text)
            for s, text in zip(sessions, instructions, strict=True)
            if s.instruction != text
        ]
        if not new:
            return
        slots = self.config.max_text_tokens
        ids = np.zeros((len(new), slots), np.int64)
        for k, (session, text) in enumerate(new):
            self.reset(session)
            session.instruction = text
            written = self.vocabulary.text_ids(text, slots)
            ids[k, : len(written)] = written
        memory, rows = self.kv_cache, _slots([s for s, _ in new])
        memory.layout.set_text_length(np.array(rows), (ids != 0).sum(1))
        columns = memory.to_device(memory.layout.text_mask()).expand(len(new), -1, -1)
        places = memory.to_device(np.arange(slots)).expand(len(new), -1)
        x = self.model.embed_text(memory.to_device(ids))
        self.model.decoder.forward_cached(x, columns, memory.kv, memory.slot_index(rows), places)

    def _executed_tokens(
        self, sessions: Sequence[Session], executed: Sequence[Action | None]
    ) -> list[list[int]]:
        """Ids of what was really done after the last frame, where that frame stays in memory; also noted there."""
        found: list[list[int]] = []
        for session, action in zip(sessions, executed, strict=True):
            found.append([])
            if session.frame_index < 0 or not session.frame_in_cache:
                continue
            own = [self.vocabulary.start, *session.last_actions[0], self.vocabulary.end]
            ids = own if action is None else session.codec.encode(action)
            found[-1] = ids[: self.config.max_action_tokens]
            self.kv_cache.layout.set_action_length(
                session.slot, session.frame_index, len(found[-1])
            )
        return found

    def _embed_actions(self, sessions: Sequence[Session], ids: Sequence[Sequence[int]]) -> Tensor:
        """Embedded actions of the newest frames, (B, longest, D)."""
        memory = self.kv_cache
        glance = memory.global_token[memory.slot_index(_slots(sessions))]
        return self.model.embed_action(memory.to_device(pad_sequences(ids)), glance)

    def _prefill_frame(
        self, sessions: Sequence[Session], frames: Sequence[Frame], executed_ids: list[list[int]]
    ) -> list[DecodeState]:
        """Take in one frame per session: what was done `before`, the picture, START and the draft in one pass.

        What was done takes a pass of its own where only some sessions keep it.
        """
        last = None
        if executed_ids and all(executed_ids):
            last = self._embed_actions(sessions, executed_ids)
        elif any(executed_ids):
            some = [(s, ids) for s, ids in zip(sessions, executed_ids, strict=True) if ids]
            who = [s for s, _ in some]
            pressed = self._embed_actions(who, [ids for _, ids in some])
            self.kv_cache.forward_cached(
                _slots(who), pressed, [self._action_positions(who, pressed.shape[1])]
            )
        drafts = [self.sampler.draft(session) for session in sessions]
        for session in sessions:
            session.frame_index += int(session.frame_in_cache or session.frame_index < 0)
            session.frame_in_cache = session.step % self.config.frame_stride == 0
            session.step += 1
        memory, rows = self.kv_cache, _slots(sessions)
        index, now = np.array(rows), np.array([s.frame_index for s in sessions])
        memory.layout.add_frame(index, now)
        visual = memory.encode_frames(frames, index, now)
        if self.model.conditions_on_global:
            memory.global_token[memory.slot_index(rows)] = self.model.global_token(visual)
        pressed = self._embed_actions(
            sessions, [(self.vocabulary.start, *draft) for draft in drafts]
        )
        x = torch.cat([self.model.embed_visual(visual), pressed], 1)
        order = np.arange(x.shape[1])[None].repeat(len(sessions), 0)
        groups = [TokenPositions(index, now, order)]
        if last is not None:
            done = self._action_positions(sessions, last.shape[1])
            groups.insert(0, TokenPositions(index, now - 1, done.offset))
            x = torch.cat([last, x], 1)
        hidden = self.kv_cache.forward_cached(_slots(sessions), x, groups, last_n=pressed.shape[1])
        scores = self._logits(hidden)
        return [
            DecodeState(s, scores[k], draft)
            for k, (s, draft) in enumerate(zip(sessions, drafts, strict=True))
        ]

    def _verify_and_continue(self, states: Sequence[DecodeState]) -> None:
        """Go on where a draft failed: the tokens drawn instead, and what of the draft may still follow them."""
        sessions = [draw.session for draw in states]
        drafts = [self.sampler.draft(draw.session, draw.actions) for draw in states]
        written = [[*draw.pending, *draft] for draw, draft in zip(states, drafts, strict=True)]
        longest = max(map(len, written))
        ids, slots = [], []
        for state, tokens in zip(states, written, strict=True):
            short = longest - len(tokens)
            ids.append(tokens + tokens[-1:] * short)  # the last once more, at its own place
            slots.append([state.next_slot + min(k, len(tokens) - 1) for k in range(longest)])
        memory, rows, order = self.kv_cache, _slots(sessions), np.array(slots)
        glance = memory.global_token[memory.slot_index(rows)]
        x = self.model.embed_action(
            memory.to_device(np.array(ids)), glance, memory.to_device(order)
        )
        tokens_at = _newest_tokens(sessions, order + self.config.visual_tokens)
        hidden = self.kv_cache.forward_cached(_slots(sessions), x, [tokens_at])
        for state, draft, logits in zip(states, drafts, self._logits(hidden), strict=True):
            state.set_logits(logits[len(state.pending) - 1 :], draft)

    def _finalize(self, states: Sequence[DecodeState]) -> list[SampledAction]:
        count, choices = self.options.num_candidates, []
        candidates = [self.sampler.candidates(draw, count) if count else () for draw in states]
        for state, known in zip(states, self._score_candidates(states, candidates), strict=True):
            tokens, *later = state.session.last_actions = tuple(map(tuple, state.actions))
            probability = math.exp(state.log_p)
            ranked = [(tokens, probability), *known] if count else []
            ranked.sort(key=lambda pair: -pair[1])
            choice = SampledAction(
                tokens, probability, state.entropy, tuple(ranked[:count]), tuple(later)
            )
            state.session.last_sample = choice
            choices.append(choice)
        return choices

    def _score_candidates(
        self, states: Sequence[DecodeState], candidates: Sequence[Sequence[Candidate]]
    ) -> list[list[tuple[ActionTokens, float]]]:
        """Each draw's other actions with their exact probabilities, all players' in one pass that leaves no trace."""
        scored = [
            [(o.tokens, float(np.exp(o.log_p))) for o in some if o.is_scored] for some in candidates
        ]
        candidates = [[other for other in some if not other.is_scored] for some in candidates]
        who = [k for k, some in enumerate(candidates) if some]
        if not who:
            return scored
        sessions = [states[k].session for k in who]
        start = self.vocabulary.start
        tokens = CandidateTokens.of(
            [[(start, *other.tokens) for other in candidates[k]] for k in who]
        )
        memory, ring, rows = self.kv_cache, self.kv_cache.layout, _slots(sessions)
        index, now = np.array(rows), np.array([session.frame_index for session in sessions])
        at = TokenPositions(index, now, tokens.offset + self.config.visual_tokens)
        where = memory.slot_index(rows)
        hidden = self.model.decoder.forward_cached(
            self.model.embed_action(
                memory.to_device(tokens.ids),
                memory.global_token[where],
                memory.to_device(tokens.offset),
            ),
            memory.to_device(ring.candidate_mask(index, now, tokens)),
            memory.kv,
            where,
            memory.to_device(ring.scratch + tokens.index),
            memory.to_device(ring.position_ids(at)),
        )
        for k, session, logits in zip(who, sessions, self._logits(hidden), strict=True):
            begin = 0
            for other in candidates[k]:
                log_p = self.sampler.score(other, logits[begin:], session.codec)
                scored[k].append((other.tokens, float(np.exp(log_p))))
                begin += 1 + len(other.tokens)
        return scored

    def _logits(self, hidden: Tensor) -> Logits:
        """(B, Q, D) -> (B, Q, ids from END on), on the CPU."""
        out: Logits = self._output_head(hidden).double().cpu().numpy()
        return out

    def _action_positions(self, sessions: Sequence[Session], count: int) -> TokenPositions:
        """The first action tokens of the newest frames."""
        order = self.config.visual_tokens + np.arange(count)
        return _newest_tokens(sessions, order[None].repeat(len(sessions), 0))


def _slots(sessions: Sequence[Session]) -> list[int]:
    return [session.slot for session in sessions]


def _newest_tokens(sessions: Sequence[Session], order: Indices) -> TokenPositions:
    """Tokens of the newest frames, at `order` (B, Q)."""
    return TokenPositions(
        np.array(_slots(sessions)), np.array([s.frame_index for s in sessions]), order
    )

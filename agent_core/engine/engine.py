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
from agent_core.cpu.inference_model import Own, PlayingModel, Precision
from agent_core.engine.cache_layout import Aside, Indices, Tokens, padded
from agent_core.engine.kv_cache import Memory
from agent_core.engine.sampling import Draw, Drawing, Other, Scores
from agent_core.engine.session import Body, Choice, Session
from agent_core.tokens.action_codec import Attachment
from agent_core.tokens.vocabulary import EOS, THOUGHT
from agent_core.weights.checkpoint import Checkpoint
from games import Action, Frame


@dataclass(frozen=True)
class EngineOptions:
    """How actions are drawn. `show_actions`: whether memory holds earlier actions (False guards against copying)."""

    temperature: float = 1.0
    """0 is greedy."""
    alternatives: int = 0
    show_actions: bool = False
    draft: bool = True
    precision: Precision = "float32"
    """Of weights and cache; scores are always computed in float32. int8: bfloat16 for the first frames, which tell
    how far numbers reach, then matrices of whole numbers."""


class Engine:
    """Streaming inference over a pool of sessions; not thread-safe.

    Raises `ConfigError` where earlier actions are shown to a model that writes chunks, and for int8 without oneDNN.
    """

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions | None = None) -> None:
        self.options = options or EngineOptions()
        self._playing = PlayingModel(checkpoint.model, self.options.precision)
        self.model, self.vocabulary = self._playing.model, checkpoint.vocabulary
        config = self.config = checkpoint.header.model
        if config.chunk > 1 and self.options.show_actions:
            raise ConfigError(
                f"this checkpoint writes {config.chunk} actions a frame (model.chunk) and never learned to see "
                "earlier ones; play without show_actions"
            )
        options, end = self.options, self.vocabulary.end
        self.drawing = Drawing(options.temperature, options.draft, end, config.chunk)
        self._head = self._playing.head(slice(end, self.vocabulary.size))
        self.memory = Memory(self.model, options.show_actions, options.alternatives)
        self._free: list[int] = []

    @property
    def own_layers(self) -> tuple[Own, ...]:
        """Layers that our own code computes, on processors that have the units for it."""
        return self._playing.own

    def reserve(self, sessions: int) -> None:
        """Room for so many sessions in all; growing step by step copies every memory each time."""
        have = len(self.memory)
        if sessions > have:
            self.memory.grow(sessions - have)
            self._free += range(have, sessions)

    def open(self, attachment: Attachment, seed: int) -> Session:
        """A new session; its draws depend on `seed` and its own frames alone."""
        if not self._free:
            self.reserve(max(1, 2 * len(self.memory)))
        return Session(self._free.pop(0), attachment, np.random.default_rng(seed))

    def close(self, session: Session) -> None:
        """Give the session's row back; the session must not be used again. Twice does nothing more."""
        if session.closed:
            return
        session.closed = True
        self.forget(session)
        self._free.append(session.row)

    def forget(self, session: Session) -> None:
        """Empty the memory: a new episode or a new instruction."""
        session.instruction, session.frame, session.steps = None, -1, 0
        session.bodies, session.kept, session.said = ((),), False, None
        self.memory.ring.forget(session.row)

    @torch.inference_mode()
    def act(
        self,
        sessions: Sequence[Session],
        frames: Sequence[Frame],
        instructions: Sequence[str],
        executed: Sequence[Action | None] | None = None,
    ) -> list[Choice]:
        """One action (or chunk of them) per session from its newest frame; the sessions must be different ones.

        `executed` tells what the game did last, where that was not this engine's action.
        """
        self._listen(sessions, instructions)
        before: list[list[int]] = []
        if self.options.show_actions:
            before = self._done_before(sessions, executed or [None] * len(sessions))
        draws = self._look(sessions, frames, before)
        waiting = self.drawing.go_on(draws)
        while waiting:
            self._continue(waiting)
            waiting = self.drawing.go_on(waiting)
        self._playing.saw(len(frames))
        return self._settle(draws)

    @torch.inference_mode()
    def why(self, session: Session, kind: int = THOUGHT) -> str:
        """The thought (or `CAPTION`) that goes with the newest frame, greedily; it leaves no trace in play."""
        if session.frame < 0:
            return ""
        memory, ring = self.memory, self.memory.ring
        first = _newest([session], np.array([[self.config.visual_tokens]]))
        place = int(ring.places_of(first)[0, 0])
        written = [kind]
        while len(written) < self.config.thought_slots:
            k = len(written) - 1
            seen = ring.sight_of_scratch(session.row, session.frame, len(written))
            hidden = self.model.decoder.extend(
                self.model.embed_thought(memory.tensor(np.array([[written[-1]]])), k),
                memory.tensor(seen[None, None]),
                memory.cache,
                slice(session.row, session.row + 1),
                memory.tensor(np.array([[ring.scratch + k]])),
                memory.tensor(np.array([[place + k]])),
            )
            best = int(self.model.logits(hidden)[0, 0, : self.vocabulary.text_size].argmax())
            if best == EOS:
                break
            written.append(best)
        return self.vocabulary.text(written)

    def _listen(self, sessions: Sequence[Session], instructions: Sequence[str]) -> None:
        """Write new instructions to the cache; a changed one empties the memory."""
        new = [
            (s, text)
            for s, text in zip(sessions, instructions, strict=True)
            if s.instruction != text
        ]
        if not new:
            return
        slots = self.config.text_slots
        ids = np.zeros((len(new), slots), np.int64)
        for k, (session, text) in enumerate(new):
            self.forget(session)
            session.instruction = text
            written = self.vocabulary.text_ids(text, slots)
            ids[k, : len(written)] = written
        memory, rows = self.memory, _rows([s for s, _ in new])
        memory.ring.note_text(np.array(rows), (ids != 0).sum(1))
        columns = memory.tensor(memory.ring.sight_of_text()).expand(len(new), -1, -1)
        places = memory.tensor(np.arange(slots)).expand(len(new), -1)
        x = self.model.embed_text(memory.tensor(ids))
        self.model.decoder.extend(x, columns, memory.cache, memory.index(rows), places)

    def _done_before(
        self, sessions: Sequence[Session], executed: Sequence[Action | None]
    ) -> list[list[int]]:
        """Ids of what was really done after the last frame, where that frame stays in memory; also noted there."""
        found: list[list[int]] = []
        for session, action in zip(sessions, executed, strict=True):
            found.append([])
            if session.frame < 0 or not session.kept:
                continue
            own = [self.vocabulary.start, *session.bodies[0], self.vocabulary.end]
            ids = own if action is None else session.attachment.ids(action)
            found[-1] = ids[: self.config.action_slots]
            self.memory.ring.note_action(session.row, session.frame, len(found[-1]))
        return found

    def _pressed(self, sessions: Sequence[Session], ids: Sequence[Sequence[int]]) -> Tensor:
        """Embedded actions of the newest frames, (B, longest, D)."""
        memory = self.memory
        glance = memory.glance[memory.index(_rows(sessions))]
        return self.model.embed_action(memory.tensor(padded(ids)), glance)

    def _look(
        self, sessions: Sequence[Session], frames: Sequence[Frame], before: list[list[int]]
    ) -> list[Draw]:
        """Take in one frame per session: what was done `before`, the picture, START and the draft in one pass.

        What was done takes a pass of its own where only some sessions keep it.
        """
        last = None
        if before and all(before):
            last = self._pressed(sessions, before)
        elif any(before):
            some = [(s, ids) for s, ids in zip(sessions, before, strict=True) if ids]
            who = [s for s, _ in some]
            pressed = self._pressed(who, [ids for _, ids in some])
            self.memory.write(_rows(who), pressed, [self._actions_of(who, pressed.shape[1])])
        drafts = [self.drawing.draft(session) for session in sessions]
        for session in sessions:
            session.frame += int(session.kept or session.frame < 0)
            session.kept = session.steps % self.config.history_stride == 0
            session.steps += 1
        memory, rows = self.memory, _rows(sessions)
        index, now = np.array(rows), np.array([s.frame for s in sessions])
        memory.ring.enter(index, now)
        visual = memory.see(frames, index, now)
        if self.model.carries_glance:
            memory.glance[memory.index(rows)] = self.model.glance(visual)
        pressed = self._pressed(sessions, [(self.vocabulary.start, *draft) for draft in drafts])
        x = torch.cat([self.model.embed_visual(visual), pressed], 1)
        order = np.arange(x.shape[1])[None].repeat(len(sessions), 0)
        groups = [Tokens(index, now, order)]
        if last is not None:
            done = self._actions_of(sessions, last.shape[1])
            groups.insert(0, Tokens(index, now - 1, done.order))
            x = torch.cat([last, x], 1)
        hidden = self.memory.write(_rows(sessions), x, groups, tail=pressed.shape[1])
        scores = self._scores(hidden)
        return [
            Draw(s, scores[k], draft)
            for k, (s, draft) in enumerate(zip(sessions, drafts, strict=True))
        ]

    def _continue(self, draws: Sequence[Draw]) -> None:
        """Go on where a draft failed: the tokens drawn instead, and what of the draft may still follow them."""
        sessions = [draw.session for draw in draws]
        drafts = [self.drawing.draft(draw.session, draw.bodies) for draw in draws]
        written = [[*draw.unseen, *draft] for draw, draft in zip(draws, drafts, strict=True)]
        longest = max(map(len, written))
        ids, slots = [], []
        for draw, tokens in zip(draws, written, strict=True):
            short = longest - len(tokens)
            ids.append(tokens + tokens[-1:] * short)  # the last once more, at its own place
            slots.append([draw.slot + min(k, len(tokens) - 1) for k in range(longest)])
        memory, rows, order = self.memory, _rows(sessions), np.array(slots)
        glance = memory.glance[memory.index(rows)]
        x = self.model.embed_action(memory.tensor(np.array(ids)), glance, memory.tensor(order))
        tokens_at = _newest(sessions, order + self.config.visual_tokens)
        hidden = self.memory.write(_rows(sessions), x, [tokens_at])
        for draw, draft, scores in zip(draws, drafts, self._scores(hidden), strict=True):
            draw.looked(scores[len(draw.unseen) - 1 :], draft)

    def _settle(self, draws: Sequence[Draw]) -> list[Choice]:
        count, choices = self.options.alternatives, []
        others = [self.drawing.others(draw, count) if count else () for draw in draws]
        for draw, known in zip(draws, self._weighed(draws, others), strict=True):
            body, *later = draw.session.bodies = tuple(map(tuple, draw.bodies))
            probability = math.exp(draw.log_p)
            ranked = [(body, probability), *known] if count else []
            ranked.sort(key=lambda pair: -pair[1])
            choice = Choice(body, probability, draw.entropy, tuple(ranked[:count]), tuple(later))
            draw.session.said = choice
            choices.append(choice)
        return choices

    def _weighed(
        self, draws: Sequence[Draw], others: Sequence[Sequence[Other]]
    ) -> list[list[tuple[Body, float]]]:
        """Each draw's other actions with their exact probabilities, all players' in one pass that leaves no trace."""
        found = [[(o.body, float(np.exp(o.log_p))) for o in some if o.is_known] for some in others]
        others = [[other for other in some if not other.is_known] for some in others]
        who = [k for k, some in enumerate(others) if some]
        if not who:
            return found
        sessions = [draws[k].session for k in who]
        start = self.vocabulary.start
        aside = Aside.of([[(start, *other.body) for other in others[k]] for k in who])
        memory, ring, rows = self.memory, self.memory.ring, _rows(sessions)
        index, now = np.array(rows), np.array([session.frame for session in sessions])
        at = Tokens(index, now, aside.order + self.config.visual_tokens)
        where = memory.index(rows)
        hidden = self.model.decoder.extend(
            self.model.embed_action(
                memory.tensor(aside.ids), memory.glance[where], memory.tensor(aside.order)
            ),
            memory.tensor(ring.sight_aside(index, now, aside)),
            memory.cache,
            where,
            memory.tensor(ring.scratch + aside.index),
            memory.tensor(ring.places_of(at)),
        )
        for k, session, scores in zip(who, sessions, self._scores(hidden), strict=True):
            begin = 0
            for other in others[k]:
                log_p = self.drawing.log_p_of(other, scores[begin:], session.attachment)
                found[k].append((other.body, float(np.exp(log_p))))
                begin += 1 + len(other.body)
        return found

    def _scores(self, hidden: Tensor) -> Scores:
        """(B, Q, D) -> (B, Q, ids from END on), on the CPU."""
        out: Scores = self._head(hidden).double().cpu().numpy()
        return out

    def _actions_of(self, sessions: Sequence[Session], count: int) -> Tokens:
        """The first action tokens of the newest frames."""
        order = self.config.visual_tokens + np.arange(count)
        return _newest(sessions, order[None].repeat(len(sessions), 0))


def _rows(sessions: Sequence[Session]) -> list[int]:
    return [session.row for session in sessions]


def _newest(sessions: Sequence[Session], order: Indices) -> Tokens:
    """Tokens of the newest frames, at `order` (B, Q)."""
    return Tokens(np.array(_rows(sessions)), np.array([s.frame for s in sessions]), order)

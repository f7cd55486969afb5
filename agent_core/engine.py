"""What does the model do next, frame by frame, for many players at once?

Theory of operation. Every session owns one row of a cache of keys and values; `agent_core.ring` tells what stands
where. A frame that memory does not keep (all but every `history_stride`-th) is overwritten by the next one.

One pass takes what was done, the picture, [STARTACTION] and a draft: the previous action, or the previous chunk a step
further on. Each token is then drawn from the model's own distribution, and as long as it agrees with the draft its
successor's distribution is already there (speculative decoding without loss). The grammar masks illegal tokens and
begins anew after each [ENDOFACTION] of a chunk; a token without alternative needs no pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent_core.checkpoint import Checkpoint
from agent_core.config import ConfigError
from agent_core.device import use_large_pages
from agent_core.drawing import Draw, Drawing, Other, Scores
from agent_core.grammar import Attachment
from agent_core.model.vit import FrameMemory
from agent_core.precision import Own, PlayingModel, Precision
from agent_core.replay import Replayed, can_record, record
from agent_core.ring import Aside, Indices, Ring, Tokens, padded
from agent_core.session import Body, Choice, Session
from agent_core.vocabulary import EOS, THOUGHT
from games import Action, Frame

_LENGTHS = 4
"""Numbers of tokens are multiples of this where passes are recorded, so that shapes come again."""


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
        weight = self.model.token.weight
        self.device, self.dtype = weight.device, weight.dtype
        self._head = self._playing.head(slice(self.vocabulary.end, self.vocabulary.size))
        self._ring = Ring(config, options.show_actions, options.alternatives)
        heads, size = config.heads, config.width // config.heads
        self._cache = self._room(config.layers, 2, 0, heads, self._ring.slots, size)
        self._glance = self._room(0, config.width)
        patches = config.patch_grid[0] * config.patch_grid[1] + 1
        looks_back = config.is_paper and config.temporal_attention
        self._over_time = self._room(
            config.layers if looks_back else 0, 2, 0, patches, heads, config.memory_frames, size
        )
        self._free: list[int] = []
        self._see: Callable[..., Tensor] = self._see_new
        self._extend: Callable[..., Tensor] = self._extend_cache
        self.recorded: tuple[Replayed, ...] = ()
        if can_record(self.device):
            self.recorded = Replayed(self._see, record), Replayed(self._extend, record)
            self._see, self._extend = self.recorded

    @property
    def own_layers(self) -> tuple[Own, ...]:
        """Layers that our own code computes, on processors that have the units for it."""
        return self._playing.own

    @property
    def memory_bytes(self) -> int:
        """What one session's memory takes."""
        tables = self._cache, self._over_time
        return sum(table.nbytes // max(1, table.shape[2]) for table in tables)

    def reserve(self, sessions: int) -> None:
        """Room for so many sessions in all; growing step by step copies every memory each time."""
        if (more := sessions - len(self._ring)) > 0:
            self._grow(more)

    def launch_plainly(self) -> None:
        """Passes are recorded no more."""
        self._see, self._extend, self.recorded = self._see_new, self._extend_cache, ()

    def open(self, attachment: Attachment, seed: int) -> Session:
        """A new session; its draws depend on `seed` and its own frames alone."""
        if not self._free:
            self._grow(max(1, len(self._ring)))
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
        self._ring.forget(session.row)

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
        first = _newest([session], np.array([[self.config.visual_tokens]]))
        place = int(self._ring.places_of(first)[0, 0])
        written = [kind]
        while len(written) < self.config.thought_slots:
            k = len(written) - 1
            seen = self._ring.sight_of_scratch(session.row, session.frame, len(written))
            hidden = self.model.decoder.extend(
                self.model.embed_thought(self._tensor(np.array([[written[-1]]])), k),
                self._tensor(seen[None, None]),
                self._cache,
                slice(session.row, session.row + 1),
                self._tensor(np.array([[self._ring.scratch + k]])),
                self._tensor(np.array([[place + k]])),
            )
            best = int(self.model.logits(hidden)[0, 0, : self.vocabulary.text_size].argmax())
            if best == EOS:
                break
            written.append(best)
        return self.vocabulary.text(written)

    def _room(self, *shape: int) -> Tensor:
        return torch.zeros(shape, device=self.device, dtype=self.dtype)

    def _tensor(self, numbers: NDArray[Any]) -> Tensor:
        there = torch.from_numpy(numbers)
        if self.device.type == "cuda":  # nobody waits for copies of memory that stays in place
            there = there.pin_memory()
        return there.to(self.device, non_blocking=True)

    def _grow(self, more: int) -> None:
        have = len(self._ring)

        def longer(table: Tensor, dim: int = 0) -> Tensor:
            shape = [n + more if d == dim else n for d, n in enumerate(table.shape)]
            new = table.new_zeros(shape)
            new.narrow(dim, 0, have).copy_(table)
            return new

        self._cache = longer(self._cache, 2)
        self._over_time = longer(self._over_time, 2)
        self._glance = longer(self._glance)
        for table in (self._cache, self._over_time):
            use_large_pages(table)
        self._ring.grow(more)
        self._free += range(have, have + more)
        for one in self.recorded:
            one.forget()

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
        rows, index = self._rows([s for s, _ in new])
        self._ring.note_text(index, (ids != 0).sum(1))
        columns = self._tensor(self._ring.sight_of_text()).expand(len(new), -1, -1)
        places = self._tensor(np.arange(slots)).expand(len(new), -1)
        x = self.model.embed_text(self._tensor(ids))
        self.model.decoder.extend(x, columns, self._cache, rows, places)

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
            self._ring.note_action(session.row, session.frame, len(found[-1]))
        return found

    def _pressed(self, sessions: Sequence[Session], ids: Sequence[Sequence[int]]) -> Tensor:
        """Embedded actions of the newest frames, (B, longest, D)."""
        rows, _ = self._rows(sessions)
        return self.model.embed_action(self._tensor(padded(ids)), self._glance[rows])

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
            self._write(who, pressed, [self._actions_of(who, pressed.shape[1])])
        drafts = [self.drawing.draft(session) for session in sessions]
        for session in sessions:
            session.frame += int(session.kept or session.frame < 0)
            session.kept = session.steps % self.config.history_stride == 0
            session.steps += 1
        rows, index = self._rows(sessions)
        now = np.array([s.frame for s in sessions])
        self._ring.enter(index, now)
        visual = self._encode(frames, index, now)
        if self.model.carries_glance:
            self._glance[rows] = self.model.glance(visual)
        pressed = self._pressed(sessions, [(self.vocabulary.start, *draft) for draft in drafts])
        x = torch.cat([self.model.embed_visual(visual), pressed], 1)
        order = np.arange(x.shape[1])[None].repeat(len(sessions), 0)
        groups = [Tokens(index, now, order)]
        if last is not None:
            done = self._actions_of(sessions, last.shape[1])
            groups.insert(0, Tokens(index, now - 1, done.order))
            x = torch.cat([last, x], 1)
        hidden = self._write(sessions, x, groups, tail=pressed.shape[1])
        scores = self._scores(hidden)
        return [
            Draw(s, scores[k], draft)
            for k, (s, draft) in enumerate(zip(sessions, drafts, strict=True))
        ]

    def _encode(self, frames: Sequence[Frame], rows: Indices, now: Indices) -> Tensor:
        """Visual tokens (B, V, D) of one new frame per session, in the light of the earlier ones.

        What attention over time remembers is a ring of its own, of as many frames as are seen.
        """
        pictures = self._tensor(np.stack(frames))
        if not (self.config.is_paper and self.config.temporal_attention):
            return self._see(pictures)
        length = self.config.memory_frames
        ago = (now[:, None] - np.arange(length)) % length
        bias = self._room(len(now), length)
        bias.masked_fill_(self._tensor(ago > now[:, None]), float("-inf"))
        block = now % length
        if len(rows) == 1 and not self.recorded:
            return self._see(pictures, bias, slice(rows[0], rows[0] + 1), int(block[0]))
        return self._see(pictures, bias, self._tensor(rows), self._tensor(block))

    def _see_new(self, pictures: Tensor, bias: Tensor | None = None, *where: Any) -> Tensor:
        memory = None
        if bias is not None:
            memory = FrameMemory(self._over_time, bias.t()[:, :, None], *where)
        return self.model.look(pictures, memory)

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
        rows, _ = self._rows(sessions)
        order = np.array(slots)
        x = self.model.embed_action(
            self._tensor(np.array(ids)), self._glance[rows], self._tensor(order)
        )
        tokens_at = _newest(sessions, order + self.config.visual_tokens)
        hidden = self._write(sessions, x, [tokens_at])
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
        rows, index = self._rows(sessions)
        now = np.array([session.frame for session in sessions])
        order = aside.order + self.config.visual_tokens
        hidden = self.model.decoder.extend(
            self.model.embed_action(
                self._tensor(aside.ids), self._glance[rows], self._tensor(aside.order)
            ),
            self._tensor(self._ring.sight_aside(index, now, aside)),
            self._cache,
            rows,
            self._tensor(self._ring.scratch + aside.index),
            self._tensor(self._ring.places_of(Tokens(index, now, order))),
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

    def _write(
        self,
        sessions: Sequence[Session],
        x: Tensor,
        groups: Sequence[Tokens],
        tail: int | None = None,
    ) -> Tensor:
        """Run tokens (B, Q, D), those of all `groups` behind each other, against the cache.

        Of the last `tail` tokens the outcome is wanted.
        """
        ring, used = self._ring, max(map(self._ring.used, groups))
        seen = np.concatenate([ring.sight(tokens, used) for tokens in groups], 1)
        slots = np.concatenate([ring.slots_of(tokens) for tokens in groups], 1)
        more = -x.shape[1] % _LENGTHS if self.recorded else 0
        if more:  # the last token once more, at its own place
            x = torch.cat([x, x[:, -1:].expand(-1, more, -1)], 1)
            seen, slots = _longer(seen, more), _longer(slots, more)
        here = places = self._tensor(slots)
        if self.config.is_paper:
            ordered = np.concatenate([ring.places_of(tokens) for tokens in groups], 1)
            places = self._tensor(_longer(ordered, more))
        rows, _ = self._rows(sessions)
        columns = self._tensor(seen)
        hidden = self._extend(x, columns, rows, here, places, used=used, tail=tail and tail + more)
        return hidden[:, : hidden.shape[1] - more]

    def _extend_cache(
        self,
        x: Tensor,
        columns: Tensor,
        rows: Tensor | slice,
        slots: Tensor,
        places: Tensor,
        *,
        used: int,
        tail: int | None,
    ) -> Tensor:
        cache = self._cache[:, :, :, :, :used]
        return self.model.decoder.extend(x, columns, cache, rows, slots, places, tail)

    def _rows(self, sessions: Sequence[Session]) -> tuple[Tensor | slice, Indices]:
        """Rows as an index, before it as a slice where they follow each other (no copy) and nothing is recorded."""
        rows = [s.row for s in sessions]
        index = np.array(rows)
        if not self.recorded and rows == list(range(rows[0], rows[0] + len(rows))):
            return slice(rows[0], rows[0] + len(rows)), index
        return self._tensor(index), index


def _newest(sessions: Sequence[Session], order: Indices) -> Tokens:
    """Tokens of the newest frames, at `order` (B, Q)."""
    rows = np.array([s.row for s in sessions])
    return Tokens(rows, np.array([s.frame for s in sessions]), order)


def _longer(numbers: NDArray[Any], more: int) -> NDArray[Any]:
    """(B, Q, …) with the last token `more` times more."""
    return np.concatenate([numbers, numbers[:, -1:].repeat(more, 1)], 1) if more else numbers

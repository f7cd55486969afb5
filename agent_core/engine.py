"""What does the model do next, frame by frame, for many players at once?

Theory of operation. Every session owns one row of a cache of keys and values, laid out like a training window:

    text | visual tokens of blocks 0 … R-1 | first action tokens of all blocks | second … | scratch

A frame that memory does not keep (all but every `history_stride`-th) is overwritten by the next one. Frames enter the
blocks as a ring, so nothing is recomputed when the window slides: in compact models only the distance in frames enters
attention, and models with absolute places are trained at every turn of the ring. One block more than the window holds
lets what was done before be written in one pass with the new frame, which takes the place of one it no longer sees.

One pass takes what was done, the picture, [STARTACTION] and a draft: the previous action, or the previous chunk a step
further on. Each token is then drawn from the model's own distribution, and as long as it agrees with the draft its
successor's distribution is already there (speculative decoding without loss). The grammar masks illegal tokens and
begins anew after each [ENDOFACTION] of a chunk; a token without alternative needs no pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agent_core.checkpoint import Checkpoint
from agent_core.config import ConfigError
from agent_core.drawing import Draw, Drawing, Scores
from agent_core.grammar import Attachment
from agent_core.model.vision import normalise
from agent_core.model.vit import FrameMemory
from agent_core.precision import PlayingModel, Precision
from agent_core.session import Body, Choice, Session
from agent_core.vocabulary import EOS, THOUGHT
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
        weight = self.model.token.weight
        self.device, self.dtype = weight.device, weight.dtype
        spoken = slice(self.vocabulary.end, self.vocabulary.size)
        self._head = weight[spoken].float()
        self._head_bias = None if config.is_paper else self.model.output_bias[spoken].float()
        self._memory = config.memory_frames
        self._visual, self._action = config.visual_tokens, config.action_slots
        self._block = self._visual + self._action
        self._ring = self._memory + int(self.options.show_actions)
        self._actions_at = config.text_slots + self._ring * self._visual
        self._scratch = config.text_slots + self._ring * self._block
        slots = self._scratch + config.thought_slots
        heads, size = config.heads, config.width // config.heads
        self._cache = self._room(config.layers, 2, 0, heads, slots, size)
        self._text_length = torch.zeros(0, dtype=torch.long, device=self.device)
        self._frame_of = torch.zeros(0, self._ring, dtype=torch.long, device=self.device)
        self._action_length = torch.zeros(0, self._ring, dtype=torch.long, device=self.device)
        self._glance = self._room(0, config.width)
        patches = config.patch_grid[0] * config.patch_grid[1] + 1
        looks_back = config.is_paper and config.temporal_attention
        self._over_time = self._room(
            config.layers if looks_back else 0, 2, 0, patches, heads, self._memory, size
        )
        self._free: list[int] = []
        self._place = torch.arange(slots, device=self.device)
        self._block_of = torch.zeros_like(self._place)
        self._order = torch.full_like(self._place, -1)
        for block in range(self._ring):
            order = torch.arange(self._block, device=self.device)
            slot = self._slots(torch.full_like(order, block), order)
            self._block_of[slot], self._order[slot] = block, order
        self._is_text = self._place < config.text_slots
        self._is_visual = (self._order >= 0) & (self._order < self._visual)
        self._is_action = self._order >= self._visual

    def open(self, attachment: Attachment, seed: int) -> Session:
        """A new session; its draws depend on `seed` and its own frames alone."""
        if not self._free:
            self._grow(max(1, len(self._text_length)))
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
        self._frame_of[session.row] = -1

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
        waiting = [draw for draw in draws if not self.drawing.go_on(draw)]
        while waiting:
            self._continue(waiting)
            waiting = [draw for draw in waiting if not self.drawing.go_on(draw)]
        choices = [self._settle(draw) for draw in draws]
        self._playing.saw(len(frames))
        return choices

    @torch.inference_mode()
    def why(self, session: Session, kind: int = THOUGHT) -> str:
        """The thought (or `CAPTION`) that goes with the newest frame, greedily; it leaves no trace in play."""
        if session.frame < 0:
            return ""
        cache = self._cache[:, :, session.row : session.row + 1].clone()
        rows = torch.tensor([session.row], device=self.device)
        now = torch.tensor([[session.frame]], device=self.device)
        seen, bias = self._memory_of(rows, now, actions=False)
        place = self._place_at(now, torch.tensor(self._visual))
        written = [kind]
        while len(written) < self.config.thought_slots:
            k = len(written) - 1
            ids = torch.tensor([[written[-1]]], device=self.device)
            mine = (self._place >= self._scratch) & (self._place <= self._scratch + k)
            mask = (seen | mine)[:, None]
            own = self.model.decoder.relative(torch.zeros(1, 1, dtype=torch.long))
            biased = torch.where(mine, own, bias)
            hidden = self.model.decoder.extend(
                self.model.embed_thought(ids, k),
                biased.masked_fill(~mask, float("-inf")),
                cache,
                slice(None),
                torch.tensor([[self._scratch + k]], device=self.device),
                place + k,
            )
            best = int(self.model.logits(hidden)[0, 0, : self.vocabulary.text_size].argmax())
            if best == EOS:
                break
            written.append(best)
        return self.vocabulary.text(written)

    def _room(self, *shape: int) -> Tensor:
        return torch.zeros(shape, device=self.device, dtype=self.dtype)

    def _grow(self, more: int) -> None:
        have = len(self._text_length)

        def longer(table: Tensor, dim: int = 0) -> Tensor:
            shape = [more if d == dim else n for d, n in enumerate(table.shape)]
            return torch.cat([table, table.new_zeros(shape)], dim)

        self._cache = longer(self._cache, 2)
        self._over_time = longer(self._over_time, 2)
        self._frame_of = longer(self._frame_of)
        self._frame_of[have:] = -1
        self._action_length = longer(self._action_length)
        self._text_length = longer(self._text_length)
        self._glance = longer(self._glance)
        self._free += range(have, have + more)

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
        ids = torch.zeros(len(new), slots, dtype=torch.long)
        for k, (session, text) in enumerate(new):
            self.forget(session)
            session.instruction = text
            written = self.vocabulary.text_ids(text, slots)
            ids[k, : len(written)] = torch.tensor(written)
        ids = ids.to(self.device)
        rows, index = self._rows([s for s, _ in new])
        self._text_length[index] = (ids != 0).sum(1)
        causal = self._place[None] <= self._place[:slots, None]
        column = torch.full_like(causal, self._memory + 1, dtype=torch.long)
        bias = self.model.decoder.relative(column).masked_fill(~causal, float("-inf"))
        places = self._place[:slots].expand(len(new), -1)
        self.model.decoder.extend(
            self.model.embed_text(ids), bias.expand(len(new), -1, -1, -1), self._cache, rows, places
        )

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
            found[-1] = ids[: self._action]
            block = int(self._block_at([session]))
            self._action_length[session.row, block] = len(found[-1])
        return found

    def _pressed(self, sessions: Sequence[Session], ids: Sequence[Sequence[int]]) -> Tensor:
        """Embedded actions of the newest frames, (B, longest, D)."""
        tokens = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.long)
        for k, written in enumerate(ids):
            tokens[k, : len(written)] = torch.tensor(written)
        _, rows = self._rows(sessions)
        return self.model.embed_action(tokens.to(self.device), self._glance[rows])

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
            self._pass(who, self._pressed(who, [ids for _, ids in some]), self._visual)
        drafts = [self.drawing.draft(session) for session in sessions]
        for session in sessions:
            session.frame += int(session.kept or session.frame < 0)
            session.kept = session.steps % self.config.history_stride == 0
            session.steps += 1
        rows, index = self._rows(sessions)
        now = torch.tensor([[s.frame] for s in sessions], device=self.device)
        block = self._block_at(sessions)[:, None]
        self._frame_of[index, block[:, 0]] = now[:, 0]
        self._action_length[index, block[:, 0]] = 0
        visual = self._encode(frames, index, now[:, 0])
        if self.model.carries_glance:
            self._glance[index] = self.model.glance(visual)
        pressed = self._pressed(sessions, [(self.vocabulary.start, *draft) for draft in drafts])
        x = torch.cat([self.model.embed_visual(visual), pressed], 1)
        order = torch.arange(x.shape[1], device=self.device).expand(len(sessions), -1)
        if last is not None:
            done = order[:, : last.shape[1]]
            back = torch.cat([torch.ones_like(done), torch.zeros_like(order)], 1)
            x, order = torch.cat([last, x], 1), torch.cat([done + self._visual, order], 1)
            now, block = now - back, (block - back) % self._ring
        tail = pressed.shape[1]
        hidden = self._write(index, x, now, order, block, rows=rows, tail=tail)
        scores = self._scores(hidden)
        return [
            Draw(s, scores[k], draft)
            for k, (s, draft) in enumerate(zip(sessions, drafts, strict=True))
        ]

    def _encode(self, frames: Sequence[Frame], rows: Tensor, now: Tensor) -> Tensor:
        """Visual tokens (B, V, D) of one new frame per session, in the light of the earlier ones.

        What attention over time remembers is a ring of its own, of as many frames as are seen.
        """
        pictures = normalise(torch.from_numpy(np.stack(frames)).to(self.device)).to(self.dtype)
        if not self.config.is_paper:
            return self.model.look(pictures)
        memory = None
        if self.config.temporal_attention:
            ago = (now[:, None] - torch.arange(self._memory, device=self.device)) % self._memory
            memory = FrameMemory(self._over_time, rows, now % self._memory, ago <= now[:, None])
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
        rows, index = self._rows(sessions)
        order = torch.tensor(slots, device=self.device)
        x = self.model.embed_action(
            torch.tensor(ids, device=self.device), self._glance[index], order
        )
        now = torch.tensor([[s.frame] for s in sessions], device=self.device)
        block = self._block_at(sessions)[:, None]
        hidden = self._write(index, x, now, order + self._visual, block, rows=rows)
        for draw, draft, scores in zip(draws, drafts, self._scores(hidden), strict=True):
            draw.looked(scores[len(draw.unseen) - 1 :], draft)

    def _settle(self, draw: Draw) -> Choice:
        body, *later = draw.session.bodies = tuple(map(tuple, draw.bodies))
        probability = float(np.exp(draw.log_p))
        count = self.options.alternatives
        others = self.drawing.others(draw, count) if count else []
        known = zip(others, self._probabilities(draw.session, others), strict=True)
        ranked = sorted([(body, probability), *known], key=lambda pair: -pair[1])
        choice = Choice(body, probability, draw.entropy, tuple(ranked[:count]), tuple(later))
        draw.session.said = choice
        return choice

    def _probabilities(self, session: Session, bodies: Sequence[Body]) -> list[float]:
        """Exact probabilities of whole actions for the newest frame, in one pass over copies of the row."""
        if not bodies:
            return []
        ids = torch.zeros(len(bodies), 1 + max(map(len, bodies)), dtype=torch.long)
        for k, body in enumerate(bodies):
            ids[k, : 1 + len(body)] = torch.tensor([self.vocabulary.start, *body])
        cache = self._cache[:, :, session.row : session.row + 1].expand(
            -1, -1, len(bodies), -1, -1, -1
        )
        glance = self._glance[session.row].expand(len(bodies), -1)
        x = self.model.embed_action(ids.to(self.device), glance)
        hidden = self._pass([session] * len(bodies), x, self._visual, cache.clone())
        return [
            float(np.exp(self.drawing.log_p_of(body, scores, session.attachment)))
            for body, scores in zip(bodies, self._scores(hidden), strict=True)
        ]

    def _scores(self, hidden: Tensor) -> Scores:
        """(B, Q, D) -> (B, Q, ids from END on), on the CPU."""
        scores = torch.nn.functional.linear(hidden.float(), self._head, self._head_bias)
        out: Scores = scores.double().cpu().numpy()
        return out

    def _pass(
        self,
        sessions: Sequence[Session],
        x: Tensor,
        first: int | Tensor,
        cache: Tensor | None = None,
    ) -> Tensor:
        """Run new tokens (B, Q, D) of the newest frames, the first at order `first` within its block."""
        rows, index = self._rows(sessions)
        now = torch.tensor([[s.frame] for s in sessions], device=self.device)
        begin = torch.as_tensor(first, device=self.device).reshape(-1, 1)
        order = (begin + torch.arange(x.shape[1], device=self.device)).expand(len(sessions), -1)
        block = self._block_at(sessions)[:, None]
        if cache is None:
            return self._write(index, x, now, order, block, rows=rows)
        return self._write(index, x, now, order, block, cache, slice(None))

    def _write(
        self,
        index: Tensor,
        x: Tensor,
        frame: Tensor,
        order: Tensor,
        block: Tensor,
        cache: Tensor | None = None,
        rows: Tensor | slice | None = None,
        tail: int | None = None,
    ) -> Tensor:
        """Run tokens (B, Q, D) of `frame` (B, Q or 1), at `order` (B, Q) within `block` (B, Q or 1).

        Only the slots up to the last action token in use take part; of the last `tail` tokens the outcome is wanted.
        """
        longest = int(order.max()) + 1 - self._visual
        if self.options.show_actions:
            longest = max(longest, int(self._action_length[index].max()))
        used = _even(self._actions_at + max(longest, 0) * self._ring, len(self._place))
        seen, bias = self._memory_of(index, frame, used, actions=self.options.show_actions)
        visual, action = self._is_visual[:used], self._is_action[:used]
        own = self._block_of[:used] == block[:, :, None]  # (B, Q or 1, slots)
        own = own & (action | visual if self.config.is_paper else action)
        mine = own & (self._order[:used] <= order[:, :, None])
        if self.config.is_paper:  # pictures are causal too
            seen = seen & ~own
        biased = bias.masked_fill(~(seen | mine)[:, None], float("-inf"))
        target = (self._cache if cache is None else cache)[:, :, :, :, :used]
        picked = index if rows is None else rows
        places = self._place_at(frame, order) if self.config.is_paper else None
        return self.model.decoder.extend(
            x, biased, target, picked, self._slots(block, order), places, tail
        )

    def _slots(self, block: Tensor, order: Tensor) -> Tensor:
        """Where in the cache tokens `order` (B, Q) of blocks (B, Q or 1) stand.

        The action tokens of all blocks are last, the first of each block before the second: actions are short, and
        what is behind the longest in use takes no part in a pass.
        """
        visual = self.config.text_slots + block * self._visual + order
        action = self._actions_at + (order - self._visual) * self._ring + block
        return torch.where(order < self._visual, visual, action)

    def _place_at(self, frame: Tensor, order: Tensor) -> Tensor:
        """Absolute place of tokens of a frame: as in training, whatever slot of the cache they take."""
        return self.config.text_slots + frame % self._memory * self._block + order

    def _block_at(self, sessions: Sequence[Session]) -> Tensor:
        """(B,) block of each session's newest frame."""
        return torch.tensor([s.frame % self._ring for s in sessions], device=self.device)

    def _memory_of(
        self, rows: Tensor, now: Tensor, used: int | None = None, *, actions: bool
    ) -> tuple[Tensor, Tensor]:
        """What frames `now` (B, Q) see of text and memory: mask (B, Q, slots), bias (B, heads, Q, slots).

        Of the first `used` slots, or of all.
        """
        order, block_of, is_text = self._order[:used], self._block_of[:used], self._is_text[:used]
        frame = self._frame_of[rows][:, None, block_of]  # (B, 1, slots)
        distance = now[:, :, None] - frame
        alive = (frame >= 0) & (distance >= 0) & (distance < self._memory)
        text = is_text & (self._place[:used] < self._text_length[rows][:, None, None])
        seen = text | (self._is_visual[:used] & alive)
        if actions:
            length = self._action_length[rows][:, None, block_of]
            written = order - self._visual < length
            seen = seen | (self._is_action[:used] & alive & (distance > 0) & written)
        column = torch.where(is_text, self._memory, distance.clamp(0, self._memory - 1))
        return seen, self.model.decoder.relative(column).transpose(0, 1)

    def _rows(self, sessions: Sequence[Session]) -> tuple[Tensor | slice, Tensor]:
        """Rows as a slice where they follow each other (no copy), and as an index."""
        rows = [s.row for s in sessions]
        index = torch.tensor(rows, device=self.device)
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return slice(rows[0], rows[0] + len(rows)), index
        return index, index


def _even(used: int, most: int) -> int:
    """Slots that take part, rounded up to 32: attention over an odd number takes up to a tenth longer on CPUs."""
    return min(-(-used // 32) * 32, most)

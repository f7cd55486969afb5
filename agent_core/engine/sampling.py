"""How do actions come from scores? Token by token, as far as scores are there; then the model must look again.

All players' next tokens are decided at once: what a decision costs is shared by hundreds of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent_core.engine.session import Body, Session
from agent_core.tokens.action_codec import Attachment

Scores = NDArray[np.float64]
_TRIED = 3
"""Tokens of each decision from which alternatives are made."""
_NEVER = -1e30
"""The log-probability of an illegal token; finite, so that it may be multiplied with its probability of 0."""


@dataclass
class Draw:
    """A half-written chunk: what is drawn, and which scores are already there.

    `log_p`, `entropy` and `path` are of its first action: how many tokens were allowed at each place, and (where it was
    more than one) the log-probabilities of all ids from END on.
    """

    session: Session
    scores: Scores
    """(1 + draft, ids from END on): row i follows what was seen and the first i draft tokens."""
    draft: Body
    agreed: int = 0
    """Draft tokens that were drawn."""
    unseen: list[int] = field(default_factory=list)
    """Tokens drawn since then; what follows them is not known yet."""
    bodies: list[list[int]] = field(default_factory=lambda: [[]])
    """The actions so far, the last of them under way."""
    log_p: float = 0.0
    entropy: float = 0.0
    path: list[tuple[int, Scores]] = field(default_factory=list)

    @property
    def body(self) -> list[int]:
        """The action under way."""
        return self.bodies[-1]

    @property
    def slot(self) -> int:
        """Of the first unseen token: behind START, the actions, and an END between each two."""
        return len(self.bodies) + sum(map(len, self.bodies)) - len(self.unseen)

    def looked(self, scores: Scores, draft: Body) -> None:
        """The unseen tokens were seen, and `draft` behind them; `scores` as above."""
        self.scores, self.draft, self.agreed, self.unseen = scores, draft, 0, []

    def note(self, token: int) -> None:
        """A token was drawn: does the draft still agree?"""
        if not self.unseen and self.draft[self.agreed : self.agreed + 1] == (token,):
            self.agreed += 1
        else:
            self.unseen.append(token)


@dataclass(frozen=True)
class Other:
    """An action that was not drawn. Up to where it differs its chances are known from the drawing."""

    body: Body
    known: int
    """Tokens, END included, that come to `log_p`."""
    log_p: float

    @property
    def is_known(self) -> bool:
        """Whether that is all of it."""
        return self.known > len(self.body)


class Drawing:
    """Draws `chunk` actions at a temperature (0 is greedy); `end` is the id of END, the first that scores are for."""

    def __init__(self, temperature: float, drafts: bool, end: int, chunk: int) -> None:
        self._temperature, self._drafts = temperature, drafts
        self._end, self._chunk = end, chunk

    def draft(self, session: Session, bodies: Sequence[Sequence[int]] = ((),)) -> Body:
        """What may follow the actions `bodies`: those foretold one step ago, the last of them once more.

        Of the action under way, only what is legal after its beginning.
        """
        if not self._drafts:
            return ()
        later = session.bodies[1:]
        expected = (later + session.bodies[-1:] * (self._chunk - len(later)))[len(bodies) - 1 :]
        begun, first = bodies[-1], list(expected[0])
        if begun:
            body = list(begun)
            for token in expected[0]:
                if token in session.attachment.allowed(tuple(body)):
                    body.append(token)
            first = body[len(begun) :]
        rest = [token for following in expected[1:] for token in (self._end, *following)]
        return (*first, *rest)

    def go_on(self, draws: Sequence[Draw]) -> list[Draw]:
        """Draw tokens as far as scores are there; those are left for which the model must look again."""
        left: list[Draw] = []
        while draws:
            deciding, allowed = [], []
            for draw in draws:
                ids = self._without_choice(draw)
                if len(ids) > 1 and draw.unseen:
                    left.append(draw)
                elif len(ids) > 1:
                    deciding.append(draw)
                    allowed.append(ids)
            draws = self._decide(deciding, allowed) if deciding else ()
        return left

    def _without_choice(self, draw: Draw) -> tuple[int, ...]:
        """Write tokens that have no alternative; then what is allowed next, nothing where all is written."""
        while len(ids := draw.session.attachment.allowed(tuple(draw.body))) == 1:
            if len(draw.bodies) == 1:
                draw.path.append((1, _CERTAIN))
            if self._write(draw, ids[0]):
                return ()
        return ids

    def _write(self, draw: Draw, token: int) -> bool:
        """Whether that completes the chunk."""
        if token != self._end:
            draw.body.append(token)
        elif len(draw.bodies) < self._chunk:
            draw.bodies.append([])
        else:
            return True
        draw.note(token)
        return False

    def _decide(self, draws: Sequence[Draw], allowed: Sequence[tuple[int, ...]]) -> list[Draw]:
        """One token each; those are left that go on."""
        scores = _rows([draw.scores[draw.agreed] for draw in draws])
        log_p = self.log_p(scores, allowed)
        places = self.choose(draws, log_p)
        chances = log_p[np.arange(len(draws)), places].tolist()
        picks = (places + self._end).tolist()
        if not all(draw.path for draw in draws):
            entropy = -(np.exp(log_p) * log_p).sum(1)
        for k, draw in enumerate(draws):
            if len(draw.bodies) == 1:
                if not draw.path:
                    draw.entropy = float(entropy[k])
                draw.log_p += chances[k]
                draw.path.append((len(allowed[k]), log_p[k]))
        return [d for d, pick in zip(draws, picks, strict=True) if not self._write(d, pick)]

    def log_p(self, scores: Scores, allowed: Sequence[tuple[int, ...]]) -> Scores:
        """(N, ids from END on) log-probabilities where each row's allowed ids can come (at temperature 1 if greedy)."""
        legal = _rows([_legal(ids, self._end, scores.shape[1]) for ids in allowed])
        kept = np.where(legal, scores, _NEVER)
        kept = np.where(
            legal, (kept - kept.max(1, keepdims=True)) / (self._temperature or 1.0), _NEVER
        )
        out: Scores = kept - np.log(np.exp(kept).sum(1, keepdims=True))
        return out

    def choose(self, draws: Sequence[Draw], log_p: Scores) -> NDArray[np.int64]:
        """(N,) which id comes next, counted from END on."""
        reached = log_p
        if self._temperature > 0:
            cumulated = np.exp(log_p).cumsum(1)
            most = cumulated[:, -1]
            drawn = np.array([draw.session.random.random() for draw in draws]) * most
            reached = cumulated > np.minimum(drawn, np.nextafter(most, 0))[:, None]
        picks: NDArray[np.int64] = reached.argmax(1)
        return picks

    def log_p_of(self, other: Other, scores: Scores, attachment: Attachment) -> float:
        """Of a whole action, END included; `scores` (1 + length, ids from END on)."""
        written = (*other.body, self._end)
        allowed = [attachment.allowed(other.body[:k]) for k in range(other.known, len(written))]
        open_ = [k for k, ids in enumerate(allowed, other.known) if len(ids) > 1]
        if not open_:
            return other.log_p
        log_p = self.log_p(scores[open_], [allowed[k - other.known] for k in open_])
        return other.log_p + float(
            log_p[range(len(open_)), [written[k] - self._end for k in open_]].sum()
        )

    def others(self, draw: Draw, count: int) -> Sequence[Other]:
        """The likeliest first actions that differ from the drawn one in one decision."""
        body, before = tuple(draw.bodies[0]), 0.0
        guesses: list[Other] = []
        for k, (choices, log_p) in enumerate(draw.path):
            if choices == 1:
                continue
            taken = (body[k] if k < len(body) else self._end) - self._end
            for j in np.argsort(-log_p)[: min(_TRIED, choices)]:
                if j != taken:
                    instead = _rest(draw.session.attachment, body, k, self._end + int(j), self._end)
                    guesses.append(Other(instead, k + 1, before + float(log_p[j])))
            before += float(log_p[taken])
        guesses.sort(key=lambda other: -other.log_p)
        found: dict[Body, Other] = {}
        for other in guesses:
            if other.body != body:
                found.setdefault(other.body, other)
        return list(found.values())[:count]


_CERTAIN: Scores = np.zeros(0)


def _rows(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """(N, …), without a copy where there is one."""
    return rows[0][None] if len(rows) == 1 else np.stack(rows)


@lru_cache(maxsize=4096)
def _legal(allowed: tuple[int, ...], end: int, size: int) -> NDArray[np.bool_]:
    """Which of the ids from END on are allowed."""
    legal = np.zeros(size, bool)
    legal[np.array(allowed) - end] = True
    return legal


def _rest(attachment: Attachment, body: Body, k: int, token: int, end: int) -> Body:
    """`body` with `token` as its decision `k`, then what is legal of the rest."""
    written = list(body[:k])
    if token == end:
        return tuple(written)
    written.append(token)
    for following in body[k:]:
        if following in attachment.allowed(tuple(written)):
            written.append(following)
    while end not in (allowed := attachment.allowed(tuple(written))):
        written.append(allowed[len(allowed) // 2])
    return tuple(written)

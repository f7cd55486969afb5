"""How do actions come from scores? Token by token, as far as scores are there; then the model must look again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from agent_core.grammar import Attachment
from agent_core.session import Body, Session

Scores = NDArray[np.float64]
_TRIED = 3
"""Tokens of each decision from which alternatives are made."""


@dataclass
class Draw:
    """A half-written chunk: what is drawn, and which scores are already there.

    `log_p`, `entropy` and `path` (each decision's allowed ids and their log-probabilities) are of its first action.
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
    path: list[tuple[tuple[int, ...], Scores]] = field(default_factory=list)

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
        body = list(bodies[-1])
        for token in expected[0]:
            if token in session.attachment.allowed(tuple(body)):
                body.append(token)
        rest = [token for following in expected[1:] for token in (self._end, *following)]
        return (*body[len(bodies[-1]) :], *rest)

    def go_on(self, draw: Draw) -> bool:
        """Draw tokens as far as scores are there; True when all actions are complete."""
        while True:
            allowed = draw.session.attachment.allowed(tuple(draw.body))
            if len(allowed) > 1 and draw.unseen:
                return False
            token = self._next(draw, allowed)
            if token != self._end:
                draw.body.append(token)
            elif len(draw.bodies) < self._chunk:
                draw.bodies.append([])
            else:
                return True
            draw.note(token)

    def _next(self, draw: Draw, allowed: tuple[int, ...]) -> int:
        """One of the allowed tokens; without alternative it needs no scores."""
        log_p, pick, first = np.zeros(1), 0, len(draw.bodies) == 1
        if len(allowed) > 1:
            log_p = self.log_p(draw.scores[draw.agreed], allowed)
            pick = self.choose(draw, allowed, log_p)
            if first and not draw.path:
                draw.entropy = float(-(np.exp(log_p) * log_p)[np.isfinite(log_p)].sum())
        if first:
            draw.log_p += float(log_p[pick])
            draw.path.append((allowed, log_p))
        return allowed[pick]

    def log_p(self, scores: Scores, allowed: tuple[int, ...]) -> Scores:
        """Log-probabilities of the allowed ids (at temperature 1 where greedy)."""
        kept = scores[_places(allowed, self._end)]
        kept = (kept - kept.max()) / (self._temperature or 1.0)
        out: Scores = kept - math.log(np.exp(kept).sum())
        return out

    def choose(self, draw: Draw, allowed: tuple[int, ...], log_p: Scores) -> int:
        """Which of the allowed ids comes next."""
        if self._temperature == 0:
            return int(log_p.argmax())
        cumulated = np.exp(log_p).cumsum()
        draw_at = draw.session.random.random() * cumulated[-1]
        return min(
            int(np.searchsorted(cumulated, draw_at, "right")),
            len(log_p) - 1,
        )

    def log_p_of(self, other: Other, scores: Scores, attachment: Attachment) -> float:
        """Of a whole action, END included; `scores` (1 + length, ids from END on)."""
        total, written = other.log_p, (*other.body, self._end)
        for k in range(other.known, len(written)):
            allowed = attachment.allowed(other.body[:k])
            if len(allowed) > 1:
                total += float(self.log_p(scores[k], allowed)[allowed.index(written[k])])
        return total

    def others(self, draw: Draw, count: int) -> Sequence[Other]:
        """The likeliest first actions that differ from the drawn one in one decision."""
        body, before = tuple(draw.bodies[0]), 0.0
        guesses: list[Other] = []
        for k, (allowed, log_p) in enumerate(draw.path):
            taken = body[k] if k < len(body) else self._end
            for j in np.argsort(-log_p)[:_TRIED]:
                if allowed[j] != taken:
                    instead = _rest(draw.session.attachment, body, k, allowed[j], self._end)
                    guesses.append(Other(instead, k + 1, before + float(log_p[j])))
            before += float(log_p[allowed.index(taken)])
        guesses.sort(key=lambda other: -other.log_p)
        found: dict[Body, Other] = {}
        for other in guesses:
            if other.body != body:
                found.setdefault(other.body, other)
        return list(found.values())[:count]


@lru_cache(maxsize=4096)
def _places(allowed: tuple[int, ...], end: int) -> NDArray[np.int64]:
    """Of allowed ids among the scores."""
    return np.array(allowed) - end


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

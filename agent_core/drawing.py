"""How does an action come from scores? Token by token, as far as scores are there; then the model must look again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent_core.grammar import Attachment
from agent_core.session import Body, Session

Scores = NDArray[np.float64]
_TRIED = 3
"""Tokens of each decision from which alternatives are made."""


@dataclass
class Draw:
    """A half-written action: what is drawn, and which scores are already there."""

    session: Session
    scores: Scores
    """(1 + draft, ids from END on): row i follows START and the first i draft tokens."""
    draft: Body
    body: list[int] = field(default_factory=list)
    log_p: float = 0.0
    entropy: float = 0.0
    path: list[tuple[tuple[int, ...], Scores]] = field(default_factory=list)


class Drawing:
    """Draws actions at a temperature (0 is greedy); `end` is the id of END, the first that scores are for."""

    def __init__(self, temperature: float, drafts: bool, end: int) -> None:
        self._temperature, self._drafts, self._end = temperature, drafts, end

    def draft(self, session: Session) -> Body:
        """What the next action may begin with: the one before, which is often the next."""
        return session.body if self._drafts and session.steps else ()

    def redraft(self, draw: Draw) -> Body:
        """Tokens of the previous action that may follow what is written."""
        if not self._drafts:
            return ()
        written = list(draw.body)
        for token in draw.session.body:
            if token in draw.session.attachment.allowed(tuple(written)):
                written.append(token)
        return tuple(written[len(draw.body) :])

    def go_on(self, draw: Draw) -> bool:
        """Draw tokens as far as scores are there; True when the action is complete."""
        row = 0
        while True:
            allowed = draw.session.attachment.allowed(tuple(draw.body))
            token = allowed[0]
            if len(allowed) > 1:
                log_p = self.log_p(draw.scores[row], allowed)
                pick = self.choose(draw, allowed, log_p)
                token = allowed[pick]
                draw.log_p += float(log_p[pick])
                if not draw.body:
                    draw.entropy = float(-(np.exp(log_p) * log_p)[np.isfinite(log_p)].sum())
                draw.path.append((allowed, log_p))
            else:
                draw.path.append((allowed, np.zeros(1)))
            if token == self._end:
                return True
            draw.body.append(token)
            if draw.session.attachment.allowed(tuple(draw.body)) == (self._end,):
                continue  # END is forced and needs no scores
            if row >= len(draw.draft) or draw.draft[row] != token:
                return False
            row += 1

    def log_p(self, scores: Scores, allowed: tuple[int, ...]) -> Scores:
        """Log-probabilities of the allowed ids (at temperature 1 where greedy)."""
        kept = scores[np.array(allowed) - self._end]
        scaled = kept / (self._temperature or 1.0)
        scaled = scaled - scaled.max()
        out: Scores = scaled - np.log(np.exp(scaled).sum())
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

    def log_p_of(self, body: Body, scores: Scores, attachment: Attachment) -> float:
        """Of a whole action, END included; `scores` (1 + length, ids from END on)."""
        total = 0.0
        for k, token in enumerate((*body, self._end)):
            allowed = attachment.allowed(body[:k])
            total += float(self.log_p(scores[k], allowed)[allowed.index(token)])
        return total

    def others(self, draw: Draw, count: int) -> Sequence[Body]:
        """The likeliest actions that differ from the drawn one in one decision."""
        body, before = tuple(draw.body), 0.0
        guesses: list[tuple[float, Body]] = []
        for k, (allowed, log_p) in enumerate(draw.path):
            taken = body[k] if k < len(body) else self._end
            for j in np.argsort(-log_p)[:_TRIED]:
                if allowed[j] != taken:
                    other = _rest(draw.session.attachment, body, k, allowed[j], self._end)
                    guesses.append((before + float(log_p[j]), other))
            before += float(log_p[allowed.index(taken)])
        best = [other for _, other in sorted(guesses, reverse=True) if other != body]
        return list(dict.fromkeys(best))[:count]


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

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

from agent_core.engine.session import ActionTokens, Session
from agent_core.tokens.action_codec import ActionCodec

Logits = NDArray[np.float64]
_BRANCHES = 3
"""Tokens of each decision from which alternatives are made."""
_MASKED = -1e30
"""The log-probability of an illegal token; finite, so that it may be multiplied with its probability of 0."""


@dataclass
class DecodeState:
    """A half-written chunk: what is drawn, and which scores are already there.

    `log_p`, `entropy` and `path` are of its first action: how many tokens were allowed at each place, and (where it was
    more than one) the log-probabilities of all ids from END on.
    """

    session: Session
    logits: Logits
    """(1 + draft, ids from END on): row i follows what was seen and the first i draft tokens."""
    draft: ActionTokens
    accepted: int = 0
    """Draft tokens that were drawn."""
    pending: list[int] = field(default_factory=list)
    """Tokens drawn since then; what follows them is not known yet."""
    actions: list[list[int]] = field(default_factory=lambda: [[]])
    """The actions so far, the last of them under way."""
    log_p: float = 0.0
    entropy: float = 0.0
    trace: list[tuple[int, Logits]] = field(default_factory=list)

    @property
    def current_action(self) -> list[int]:
        """The action under way."""
        return self.actions[-1]

    @property
    def next_slot(self) -> int:
        """Of the first unseen token: behind START, the actions, and an END between each two."""
        return len(self.actions) + sum(map(len, self.actions)) - len(self.pending)

    def set_logits(self, logits: Logits, draft: ActionTokens) -> None:
        """The unseen tokens were seen, and `draft` behind them; `scores` as above."""
        self.logits, self.draft, self.accepted, self.pending = logits, draft, 0, []

    def accept(self, token: int) -> None:
        """A token was drawn: does the draft still agree?"""
        if not self.pending and self.draft[self.accepted : self.accepted + 1] == (token,):
            self.accepted += 1
        else:
            self.pending.append(token)


@dataclass(frozen=True)
class Candidate:
    """An action that was not drawn. Up to where it differs its chances are known from the drawing."""

    tokens: ActionTokens
    scored: int
    """Tokens, END included, that come to `log_p`."""
    log_p: float

    @property
    def is_scored(self) -> bool:
        """Whether that is all of it."""
        return self.scored > len(self.tokens)


class ActionSampler:
    """Draws `chunk` actions at a temperature (0 is greedy); `end` is the id of END, the first that scores are for."""

    def __init__(self, temperature: float, use_draft: bool, end: int, chunk: int) -> None:
        self._temperature, self._use_draft = temperature, use_draft
        self._end, self._chunk = end, chunk

    def draft(self, session: Session, actions: Sequence[Sequence[int]] = ((),)) -> ActionTokens:
        """What may follow the actions `bodies`: those foretold one step ago, the last of them once more.

        Of the action under way, only what is legal after its beginning.
        """
        if not self._use_draft:
            return ()
        later = session.last_actions[1:]
        expected = (later + session.last_actions[-1:] * (self._chunk - len(later)))[
            len(actions) - 1 :
        ]
        begun, first = actions[-1], list(expected[0])
        if begun:
            body = list(begun)
            for token in expected[0]:
                if token in session.codec.legal_next(tuple(body)):
                    body.append(token)
            first = body[len(begun) :]
        rest = [token for following in expected[1:] for token in (self._end, *following)]
        return (*first, *rest)

    def decode(self, states: Sequence[DecodeState]) -> list[DecodeState]:
        """Draw tokens as far as scores are there; those are left for which the model must look again."""
        left: list[DecodeState] = []
        while states:
            deciding, allowed = [], []
            for state in states:
                ids = self._emit_forced_tokens(state)
                if len(ids) > 1 and state.pending:
                    left.append(state)
                elif len(ids) > 1:
                    deciding.append(state)
                    allowed.append(ids)
            states = self._sample_step(deciding, allowed) if deciding else ()
        return left

    def _emit_forced_tokens(self, state: DecodeState) -> tuple[int, ...]:
        """Write tokens that have no alternative; then what is allowed next, nothing where all is written."""
        while len(ids := state.session.codec.legal_next(tuple(state.current_action))) == 1:
            if len(state.actions) == 1:
                state.trace.append((1, _CERTAIN))
            if self._append(state, ids[0]):
                return ()
        return ids

    def _append(self, state: DecodeState, token: int) -> bool:
        """Whether that completes the chunk."""
        if token != self._end:
            state.current_action.append(token)
        elif len(state.actions) < self._chunk:
            state.actions.append([])
        else:
            return True
        state.accept(token)
        return False

    def _sample_step(
        self, states: Sequence[DecodeState], allowed: Sequence[tuple[int, ...]]
    ) -> list[DecodeState]:
        """One token each; those are left that go on."""
        logits = _stack_rows([draw.logits[draw.accepted] for draw in states])
        log_p = self.log_p(logits, allowed)
        places = self.select(states, log_p)
        chances = log_p[np.arange(len(states)), places].tolist()
        picks = (places + self._end).tolist()
        if not all(draw.trace for draw in states):
            entropy = -(np.exp(log_p) * log_p).sum(1)
        for k, state in enumerate(states):
            if len(state.actions) == 1:
                if not state.trace:
                    state.entropy = float(entropy[k])
                state.log_p += chances[k]
                state.trace.append((len(allowed[k]), log_p[k]))
        return [d for d, pick in zip(states, picks, strict=True) if not self._append(d, pick)]

    def log_p(self, logits: Logits, allowed: Sequence[tuple[int, ...]]) -> Logits:
        """(N, ids from END on) log-probabilities where each row's allowed ids can come (at temperature 1 if greedy)."""
        legal = _stack_rows([_legal_mask(ids, self._end, logits.shape[1]) for ids in allowed])
        kept = np.where(legal, logits, _MASKED)
        kept = np.where(
            legal, (kept - kept.max(1, keepdims=True)) / (self._temperature or 1.0), _MASKED
        )
        out: Logits = kept - np.log(np.exp(kept).sum(1, keepdims=True))
        return out

    def select(self, states: Sequence[DecodeState], log_p: Logits) -> NDArray[np.int64]:
        """(N,) which id comes next, counted from END on."""
        reached = log_p
        if self._temperature > 0:
            cumulated = np.exp(log_p).cumsum(1)
            most = cumulated[:, -1]
            drawn = np.array([draw.session.rng.random() for draw in states]) * most
            reached = cumulated > np.minimum(drawn, np.nextafter(most, 0))[:, None]
        picks: NDArray[np.int64] = reached.argmax(1)
        return picks

    def score(self, candidate: Candidate, logits: Logits, codec: ActionCodec) -> float:
        """Of a whole action, END included; `scores` (1 + length, ids from END on)."""
        written = (*candidate.tokens, self._end)
        allowed = [
            codec.legal_next(candidate.tokens[:k]) for k in range(candidate.scored, len(written))
        ]
        open_ = [k for k, ids in enumerate(allowed, candidate.scored) if len(ids) > 1]
        if not open_:
            return candidate.log_p
        log_p = self.log_p(logits[open_], [allowed[k - candidate.scored] for k in open_])
        return candidate.log_p + float(
            log_p[range(len(open_)), [written[k] - self._end for k in open_]].sum()
        )

    def candidates(self, state: DecodeState, count: int) -> Sequence[Candidate]:
        """The likeliest first actions that differ from the drawn one in one decision."""
        body, before = tuple(state.actions[0]), 0.0
        guesses: list[Candidate] = []
        for k, (choices, log_p) in enumerate(state.trace):
            if choices == 1:
                continue
            taken = (body[k] if k < len(body) else self._end) - self._end
            for j in np.argsort(-log_p)[: min(_BRANCHES, choices)]:
                if j != taken:
                    instead = _complete_action(
                        state.session.codec, body, k, self._end + int(j), self._end
                    )
                    guesses.append(Candidate(instead, k + 1, before + float(log_p[j])))
            before += float(log_p[taken])
        guesses.sort(key=lambda other: -other.log_p)
        candidates: dict[ActionTokens, Candidate] = {}
        for candidate in guesses:
            if candidate.tokens != body:
                candidates.setdefault(candidate.tokens, candidate)
        return list(candidates.values())[:count]


_CERTAIN: Logits = np.zeros(0)


def _stack_rows(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """(N, …), without a copy where there is one."""
    return rows[0][None] if len(rows) == 1 else np.stack(rows)


@lru_cache(maxsize=4096)
def _legal_mask(allowed: tuple[int, ...], end: int, size: int) -> NDArray[np.bool_]:
    """Which of the ids from END on are allowed."""
    legal = np.zeros(size, bool)
    legal[np.array(allowed) - end] = True
    return legal


def _complete_action(
    codec: ActionCodec, tokens: ActionTokens, k: int, token: int, end: int
) -> ActionTokens:
    """`body` with `token` as its decision `k`, then what is legal of the rest."""
    written = list(tokens[:k])
    if token == end:
        return tuple(written)
    written.append(token)
    for following in tokens[k:]:
        if following in codec.legal_next(tuple(written)):
            written.append(following)
    while end not in (allowed := codec.legal_next(tuple(written))):
        written.append(allowed[len(allowed) // 2])
    return tuple(written)

"""Action sampler: grammar-masked sampling of action tokens with draft verification.

The sampler takes logits of a forward pass and draws tokens as far as they reach (`ActionSampler.decode`); sessions that
need more logits are returned to the engine. The next tokens of all sessions are drawn together, so that the cost of the
NumPy calls is shared by hundreds of them.

Logits and log-probabilities have one column per id from END on: END, then all action tokens. In the shapes below N is
sessions and M those columns.
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
"""Alternative tokens tried at each position when candidates are made."""
_MASKED = -1e30
"""Log-probability of an illegal token; finite, so that its product with probability 0 is 0 and not NaN."""
_FORCED: Logits = np.zeros(0)
"""Stands for the log-probabilities of a token without a legal alternative."""


@dataclass
class DecodeState:
    """A partly decoded action chunk of one session, and the logits at hand.

    `log_p`, `entropy` and `trace` concern the first action of the chunk, the one that is executed now.
    """

    session: Session
    logits: Logits
    """(1 + draft, M): row i predicts the token behind the first i draft tokens."""
    draft: ActionTokens
    accepted: int = 0
    """Draft tokens that were drawn as well."""
    pending: list[int] = field(default_factory=list)
    """Tokens drawn against the draft, which the model has not processed yet."""
    actions: list[list[int]] = field(default_factory=lambda: [[]])
    """Token ids of the actions so far; the last action is incomplete."""
    log_p: float = 0.0
    entropy: float = 0.0
    """Of the first drawn token's distribution, in nats."""
    trace: list[tuple[int, Logits]] = field(default_factory=list)
    """For every token: how many ids were legal, and the log-probabilities (M,), empty where the token was forced."""

    @property
    def current_action(self) -> list[int]:
        """The incomplete action."""
        return self.actions[-1]

    @property
    def next_offset(self) -> int:
        """Offset of the first pending token: behind START, the tokens so far, and an END between two actions."""
        return len(self.actions) + sum(map(len, self.actions)) - len(self.pending)

    def set_logits(self, logits: Logits, draft: ActionTokens) -> None:
        """Take the logits behind the pending tokens, and behind each token of a new draft."""
        self.logits, self.draft, self.accepted, self.pending = logits, draft, 0, []

    def accept(self, token: int) -> None:
        """Record a drawn token: it agrees with the draft, or it is pending."""
        if not self.pending and self.draft[self.accepted : self.accepted + 1] == (token,):
            self.accepted += 1
        else:
            self.pending.append(token)


@dataclass(frozen=True)
class Candidate:
    """An alternative to the sampled action, scored by the decoded logits up to where it differs."""

    tokens: ActionTokens
    scored: int
    """Tokens, END included, that `log_p` covers."""
    log_p: float

    @property
    def is_scored(self) -> bool:
        """Whether `log_p` covers the whole action."""
        return self.scored > len(self.tokens)


class ActionSampler:
    """Samples chunks of `chunk` actions at a temperature; 0 is greedy. `end` is the id of END."""

    def __init__(self, temperature: float, use_draft: bool, end: int, chunk: int) -> None:
        self._temperature, self._use_draft = temperature, use_draft
        self._end, self._chunk = end, chunk

    def draft(self, session: Session, actions: Sequence[Sequence[int]] = ((),)) -> ActionTokens:
        """Draft tokens behind `actions`, the last of which is incomplete; empty where drafts are off.

        The draft is the session's last chunk shifted by one step, its last action repeated. Of the incomplete action's
        draft, only tokens that are legal behind its beginning are taken.
        """
        if not self._use_draft:
            return ()
        shifted = session.last_actions[1:]
        padded = shifted + session.last_actions[-1:] * (self._chunk - len(shifted))
        expected, *following = padded[len(actions) - 1 :]
        if prefix := actions[-1]:
            expected = tuple(_append_legal(session.codec, prefix, expected)[len(prefix) :])
        rest = [token for action in following for token in (self._end, *action)]
        return (*expected, *rest)

    def decode(self, states: Sequence[DecodeState]) -> list[DecodeState]:
        """Draw tokens as far as logits are at hand; returns the states that need another forward pass."""
        needs_logits: list[DecodeState] = []
        while states:
            ready, legal_ids = [], []
            for state in states:
                ids = self._emit_forced_tokens(state)
                if len(ids) > 1 and state.pending:
                    needs_logits.append(state)
                elif len(ids) > 1:
                    ready.append(state)
                    legal_ids.append(ids)
            states = self._sample_step(ready, legal_ids) if ready else ()
        return needs_logits

    def _emit_forced_tokens(self, state: DecodeState) -> tuple[int, ...]:
        """Append tokens without a legal alternative; returns the ids legal then, none if the chunk is complete."""
        while len(ids := state.session.codec.legal_next(tuple(state.current_action))) == 1:
            if len(state.actions) == 1:
                state.trace.append((1, _FORCED))
            if self._append(state, ids[0]):
                return ()
        return ids

    def _append(self, state: DecodeState, token: int) -> bool:
        """Append a token; returns whether it completes the chunk."""
        if token != self._end:
            state.current_action.append(token)
        elif len(state.actions) < self._chunk:
            state.actions.append([])
        else:
            return True
        state.accept(token)
        return False

    def _sample_step(
        self, states: Sequence[DecodeState], legal_ids: Sequence[tuple[int, ...]]
    ) -> list[DecodeState]:
        """Draw one token for each state; returns the states whose chunk is incomplete."""
        logits = _stack_rows([state.logits[state.accepted] for state in states])  # (N, M)
        log_p = self.log_p(logits, legal_ids)
        columns = self.select(states, log_p)
        self._trace_step(states, legal_ids, log_p, columns)
        tokens = (columns + self._end).tolist()
        pairs = zip(states, tokens, strict=True)
        return [state for state, token in pairs if not self._append(state, token)]

    def _trace_step(
        self,
        states: Sequence[DecodeState],
        legal_ids: Sequence[tuple[int, ...]],
        log_p: Logits,
        columns: NDArray[np.int64],
    ) -> None:
        """Record log-probabilities of a step in the states that decode their first action."""
        drawn = log_p[np.arange(len(states)), columns].tolist()
        if not all(state.trace for state in states):
            entropy = -(np.exp(log_p) * log_p).sum(1)
        for k, state in enumerate(states):
            if len(state.actions) == 1:
                if not state.trace:
                    state.entropy = float(entropy[k])
                state.log_p += drawn[k]
                state.trace.append((len(legal_ids[k]), log_p[k]))

    def log_p(self, logits: Logits, legal_ids: Sequence[tuple[int, ...]]) -> Logits:
        """Logits (N, M) -> log-probabilities (N, M) of each row's legal ids, at temperature 1 if sampling is greedy."""
        legal = _stack_rows([_legal_mask(ids, self._end, logits.shape[1]) for ids in legal_ids])
        masked = np.where(legal, logits, _MASKED)
        # the largest logit becomes 0 before the division and the exponential, so that nothing overflows
        scaled = (masked - masked.max(1, keepdims=True)) / (self._temperature or 1.0)
        masked = np.where(legal, scaled, _MASKED)
        out: Logits = masked - np.log(np.exp(masked).sum(1, keepdims=True))
        return out

    def select(self, states: Sequence[DecodeState], log_p: Logits) -> NDArray[np.int64]:
        """(N,) the drawn columns of (N, M), each by its session's random generator."""
        reached: NDArray[Any] = log_p  # greedy: the argmax itself
        if (
            self._temperature > 0
        ):  # inverse transform sampling: the first column whose cumulated probability is enough
            cumulated = np.exp(log_p).cumsum(1)
            total = cumulated[:, -1]  # 1, but for rounding
            drawn = np.array([state.session.rng.random() for state in states]) * total
            reached = cumulated > np.minimum(drawn, np.nextafter(total, 0))[:, None]
        columns: NDArray[np.int64] = reached.argmax(1)
        return columns

    def score(self, candidate: Candidate, logits: Logits, codec: ActionCodec) -> float:
        """Log-probability of a whole candidate, END included; `logits` (1 + length, M) from START on.

        Only tokens that `candidate.log_p` does not cover and that had an alternative count.
        """
        tokens = (*candidate.tokens, self._end)
        legal_ids = {
            k: codec.legal_next(candidate.tokens[:k]) for k in range(candidate.scored, len(tokens))
        }
        free = [k for k, ids in legal_ids.items() if len(ids) > 1]
        if not free:
            return candidate.log_p
        log_p = self.log_p(logits[free], [legal_ids[k] for k in free])
        columns = [tokens[k] - self._end for k in free]
        return candidate.log_p + float(log_p[range(len(free)), columns].sum())

    def candidates(self, state: DecodeState, count: int) -> Sequence[Candidate]:
        """The most likely alternatives to the first action, each differing from it in one token drawn."""
        sampled = tuple(state.actions[0])
        branches = sorted(self._branches(state, sampled), key=lambda branch: -branch.log_p)
        candidates: dict[ActionTokens, Candidate] = {}
        for branch in branches:
            if branch.tokens != sampled:
                candidates.setdefault(branch.tokens, branch)
        return list(candidates.values())[:count]

    def _branches(self, state: DecodeState, sampled: ActionTokens) -> list[Candidate]:
        """Other likely tokens at every position of the sampled action, each completed to an action."""
        branches, prefix_log_p = [], 0.0
        for k, (choices, log_p) in enumerate(state.trace):
            if choices == 1:
                continue
            drawn = (sampled[k] if k < len(sampled) else self._end) - self._end
            for column in np.argsort(-log_p)[: min(_BRANCHES, choices)]:
                if column != drawn:
                    token = self._end + int(column)
                    tokens = _complete_action(state.session.codec, sampled, k, token, self._end)
                    branches.append(Candidate(tokens, k + 1, prefix_log_p + float(log_p[column])))
            prefix_log_p += float(log_p[drawn])
        return branches


def _stack_rows(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """(N, …); a single row is not copied."""
    return rows[0][None] if len(rows) == 1 else np.stack(rows)


@lru_cache(maxsize=4096)
def _legal_mask(legal_ids: tuple[int, ...], end: int, size: int) -> NDArray[np.bool_]:
    """(size,) logit mask of the ids from END on."""
    legal = np.zeros(size, bool)
    legal[np.array(legal_ids) - end] = True
    return legal


def _append_legal(codec: ActionCodec, prefix: Sequence[int], tokens: Sequence[int]) -> list[int]:
    """`prefix`, then those of `tokens` that are legal behind what is there."""
    out = list(prefix)
    for token in tokens:
        if token in codec.legal_next(tuple(out)):
            out.append(token)
    return out


def _complete_action(
    codec: ActionCodec, tokens: ActionTokens, k: int, token: int, end: int
) -> ActionTokens:
    """`tokens` with `token` at position k, then what is legal of the rest, closed where the grammar asks for more."""
    if token == end:
        return tokens[:k]
    out = _append_legal(codec, (*tokens[:k], token), tokens[k:])
    while end not in (legal_ids := codec.legal_next(tuple(out))):
        out.append(legal_ids[len(legal_ids) // 2])
    return tuple(out)

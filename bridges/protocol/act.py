"""What is a game told of a decision? Its values, its words, how long it counts, and where the time went."""

from __future__ import annotations

import math

from bridges.protocol.messages import Act, ActionText, Latency, PlannedAction
from bridges.serving.batcher import CompletedObservation

VALID_STEPS = 6
"""An action, of several the last, is valid for so many steps of the game."""


def act_message(answered: CompletedObservation, now: float) -> Act:
    """The message for an answer that is sent at `now`, in seconds of the monotonic clock."""
    decision, pending, session = answered.decision, answered.pending, answered.session
    step_ms = 1000 / session.player.spec.step_hz
    return Act(
        session=session.name,
        observation=pending.picture.number,
        action=decision.action,
        words=decision.words,
        probability=_finite(decision.probability),
        alternatives=tuple(
            ActionText(words=a.words, probability=_finite(a.probability))
            for a in decision.alternatives
        ),
        entropy=_finite(decision.entropy),
        later=tuple(
            PlannedAction(action=then.action, words=then.words) for then in decision.chunk_rest
        ),
        step_ms=step_ms,
        valid_ms=(VALID_STEPS + len(decision.chunk_rest)) * step_ms,
        latency=Latency(
            queue_ms=round(1000 * (answered.started - pending.received), 3),
            infer_ms=round(1000 * (answered.finished - answered.started), 3),
            age_ms=round(1000 * (now - pending.received), 3),
            batch=answered.batch,
        ),
        dropped=session.dropped,
    )


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0

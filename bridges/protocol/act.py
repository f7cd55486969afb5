"""What is a game told of a decision? Its values, its words, how long it counts, and where the time went."""

from __future__ import annotations

import math

from bridges.protocol.messages import Act, Latency, Later, Said
from bridges.serving.batcher import Answered

VALID_STEPS = 6
"""An action, of several the last, is valid for so many steps of the game."""


def act_message(answered: Answered, now: float) -> Act:
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
            Said(words=a.words, probability=_finite(a.probability)) for a in decision.alternatives
        ),
        entropy=_finite(decision.entropy),
        later=tuple(Later(action=then.action, words=then.words) for then in decision.later),
        step_ms=step_ms,
        valid_ms=(VALID_STEPS + len(decision.later)) * step_ms,
        latency=Latency(
            queue_ms=round(1000 * (answered.begun - pending.arrived), 3),
            infer_ms=round(1000 * (answered.ended - answered.begun), 3),
            age_ms=round(1000 * (now - pending.arrived), 3),
            batch=answered.batch,
        ),
        dropped=session.dropped,
    )


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0

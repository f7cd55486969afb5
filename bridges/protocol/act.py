"""Act message: a policy's decision with its session, validity and latency."""

from __future__ import annotations

from bridges.protocol.decision import Decision, Latency
from bridges.protocol.fields import Owner
from bridges.protocol.messages import Act

VALID_STEPS = 6
"""Steps of the game for which an action is valid; of several planned actions, for which the last is."""


def act_message(
    decision: Decision,
    *,
    session: str,
    observation: int,
    step_hz: float,
    latency: Latency,
    dropped: int,
    owner: Owner = "agent",
    agent: int = 0,
) -> Act:
    """The decision for observation number `observation`; `dropped` counts the session's replaced ones."""
    step_ms = 1000 / step_hz
    return Act(
        **dict(decision),
        session=session,
        observation=observation,
        step_ms=step_ms,
        valid_ms=(VALID_STEPS + len(decision.later)) * step_ms,
        latency=latency,
        dropped=dropped,
        owner=owner,
        agent=agent,
    )

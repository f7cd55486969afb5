"""Outcomes: what became of an observation that the policy was asked about."""

from __future__ import annotations

from dataclasses import dataclass

from bridges.policy import Decision
from bridges.protocol.decision import Latency
from bridges.serving.queued_observation import QueuedObservation
from bridges.serving.sessions import Session, Work
from games import Frame


@dataclass(frozen=True)
class CompletedObservation:
    """An answered observation: the decision and the times of its pass, in seconds of the monotonic clock."""

    session: Session
    observation: QueuedObservation
    frame: Frame
    decision: Decision
    started: float
    finished: float
    batch: int

    def latency(self, now: float) -> Latency:
        """Where the time went, for an answer that is sent at `now`."""
        received = self.observation.received
        return Latency(
            queue_ms=round(1000 * (self.started - received), 3),
            infer_ms=round(1000 * (self.finished - self.started), 3),
            age_ms=round(1000 * (now - received), 3),
            batch=self.batch,
        )


@dataclass(frozen=True)
class FailedObservation:
    """An observation that could not be answered."""

    work: Work
    error: Exception


Outcome = CompletedObservation | FailedObservation

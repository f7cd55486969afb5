"""Does a decision reach the wire with its words, its times and nothing that JSON cannot say?"""

import numpy as np
import pytest

from bridges.policy import Alternative, Decision, PlannedAction
from bridges.protocol.act import VALID_STEPS, act_message
from bridges.protocol.frames import pack, unpack
from bridges.serving.batcher import CompletedObservation, GameSession, QueuedObservation
from bridges.serving.random_policy import RandomPolicy
from games import FrameSize, GameSpec
from games.controls import Button

SPEC = GameSpec(
    id="bell-v0",
    title="Bell",
    frame=FrameSize(height=16, width=16),
    step_hz=10,
    controls=(Button(name="ring", label="ring"),),
)


def test_a_decision_with_its_times():
    frame = np.zeros(SPEC.frame.shape, np.uint8)
    session = GameSession("one", RandomPolicy().attach(SPEC), lockstep=False, instruction="ring")
    session.dropped = 2
    decision = Decision(
        {"ring": 1}, "ring", float("nan"), (Alternative("wait", 0.25),), float("inf"),
        (PlannedAction({"ring": 0}, "wait"),),
    )  # fmt: skip
    pending = QueuedObservation(unpack(pack(frame, 7, 0)), received=10.0)
    answered = CompletedObservation(
        session, pending, frame, decision, started=10.01, finished=10.03, batch=3
    )
    act = act_message(answered, now=10.04)
    assert (act.session, act.observation, act.action, act.words) == ("one", 7, {"ring": 1}, "ring")
    assert (act.probability, act.entropy) == (0, 0)
    assert [(a.words, a.probability) for a in act.alternatives] == [("wait", 0.25)]
    assert [(then.action, then.words) for then in act.later] == [({"ring": 0}, "wait")]
    assert (act.step_ms, act.valid_ms) == (100, 100 * (VALID_STEPS + 1))
    times = act.latency
    assert (times.queue_ms, times.infer_ms, times.age_ms) == pytest.approx((10, 20, 40))
    assert (times.batch, act.dropped) == (3, 2)

"""Act message: a decision reaches the wire with its words, its times and nothing that JSON cannot express."""

import pytest

from bridges.policy import ActionText, Decision, PlannedAction
from bridges.protocol.act import VALID_STEPS, act_message
from bridges.protocol.decision import Latency
from bridges.protocol.messages import from_server
from games import FrameSize, GameSpec
from games.controls import Button

SPEC = GameSpec(
    id="bell-v0",
    title="Bell",
    frame=FrameSize(height=16, width=16),
    step_hz=10,
    controls=(Button(name="ring", label="ring"),),
)
DECISION = Decision(
    action={"ring": 1},
    words="ring",
    probability=0.75,
    alternatives=(ActionText(words="wait", probability=0.25),),
    entropy=0.5,
    later=(PlannedAction(action={"ring": 0}, words="wait"),),
)


def test_an_act_is_the_decision_and_its_envelope() -> None:
    latency = Latency(queue_ms=1, infer_ms=2, age_ms=4, batch=3)
    act = act_message(
        DECISION, session="one", observation=7, step_hz=10, latency=latency, dropped=2
    )
    assert {name: getattr(act, name) for name in Decision.model_fields} == dict(DECISION)
    assert (act.session, act.observation, act.dropped) == ("one", 7, 2)
    assert (act.step_ms, act.valid_ms) == (100, 100 * (VALID_STEPS + 1))
    assert from_server(act.model_dump_json()) == act


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_becomes_zero(value: float) -> None:
    decision = Decision(action={}, words="", probability=value, entropy=value)
    assert (decision.probability, decision.entropy) == (0, 0)
    assert ActionText(words="", probability=value).probability == 0

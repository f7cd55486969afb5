"""Connection: several agents of one game, each with its own pictures and messages."""

from typing import Any

import numpy as np
import pytest

from bridges.protocol.decision import Latency
from bridges.protocol.fields import MAX_AGENTS
from bridges.protocol.frames import EncodedFrame, pack
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.messages import (
    Act,
    Control,
    ErrorMessage,
    Query,
)
from bridges.testing.scripted_peer import ScriptedPeer
from games.voxel import SPEC

LIMITS = ConnectionLimits(max_in_flight=2)
PIXELS = np.zeros((2, 3, 3), np.uint8)


def attached(agents: int = 1, **hello: Any) -> ScriptedPeer:
    spec = SPEC.model_dump(mode="json")
    return ScriptedPeer(LIMITS, {"spec": spec, "agents": agents, **hello}).attach()


def picture(number: int, agent: int, meta: bytes = b"") -> bytes:
    return pack(PIXELS, number, 0, meta=meta, agent=agent)


def answer(number: int, agent: int) -> Act:
    latency = Latency(queue_ms=0, infer_ms=0, age_ms=0)
    return Act(
        action={}, words="", probability=1, session="a", observation=number, valid_ms=1, latency=latency, agent=agent
    )  # fmt: skip


def test_the_welcome_repeats_how_many_there_are() -> None:
    peer = ScriptedPeer(LIMITS, {"spec": SPEC.model_dump(mode="json"), "agents": 3})
    assert peer.send(peer.hello)
    peer.connection.accept(session="a", policy="p", instruction="", warnings=())
    assert [welcome.agents for welcome in peer.received()] == [3]


@pytest.mark.parametrize("agents", [0, MAX_AGENTS + 1, -1, "two"])
def test_their_number_is_bounded(agents: object) -> None:
    peer = ScriptedPeer(LIMITS, {"spec": SPEC.model_dump(mode="json"), "agents": agents})
    assert peer.send(peer.hello) == []
    assert [error.path for error in peer.errors()] == ["agents"]


def test_a_picture_is_its_agents() -> None:
    peer = attached(3)
    for agent in (2, 0, 1):
        (encoded,) = peer.send(picture(5, agent))
        assert isinstance(encoded, EncodedFrame)
        assert (encoded.number, encoded.agent) == (5, agent)


@pytest.mark.parametrize(("agents", "named"), [(1, "1 agent;"), (3, "3 agents;")])
def test_a_picture_of_an_agent_that_is_not_there_is_refused(agents: int, named: str) -> None:
    peer = attached(agents)
    assert peer.send(picture(5, agents)) == []
    (error,) = peer.errors()
    assert (error.code, error.observation) == ("bad_picture", 5)
    assert f"{named} the header's byte 7 is {agents}" in error.message
    assert peer.connection.close_code == 4400


def test_a_message_names_its_agent() -> None:
    peer = attached(2)
    assert peer.send({"type": "control", "owner": "human", "agent": 1}) == [
        Control(owner="human", agent=1)
    ]
    assert peer.send({"type": "query", "id": 4, "kind": "why", "agent": 1}) == [
        Query(id=4, kind="why", agent=1)
    ]
    assert peer.send({"type": "query", "id": 5, "kind": "why", "agent": 2}) == []
    assert peer.send({"type": "event", "terminated": True, "agent": 2}) == []
    errors = [(error.code, error.path, error.id) for error in peer.errors()]
    assert errors == [("bad_message", "agent", 5), ("bad_message", "agent", None)]


def test_each_has_its_own_observations_in_flight() -> None:
    peer = attached(2, mode="lockstep")
    for number in (1, 2):
        for agent in (0, 1):
            assert peer.send(picture(number, agent))
    assert peer.connection.in_flight == 4
    peer.connection.send(answer(1, agent=1))
    failed = ErrorMessage(code="policy_failed", message="no", observation=2, agent=1)
    peer.connection.send(failed)
    assert peer.connection.in_flight == 2
    assert peer.send(picture(3, 1))
    peer.received()
    assert peer.send(picture(3, 0)) == []
    (error,) = peer.errors()
    assert (error.code, error.observation, error.agent) == ("too_many", 3, 0)
    assert peer.connection.close_code == 4429


def test_a_mistake_beside_a_picture_names_the_agent() -> None:
    peer = attached(2)
    assert peer.send(picture(7, 1, b'{"reward":"much"}'))
    assert peer.send({"type": "event", "agent": 1, "input": {"jmp": 1}})
    errors = [(error.observation, error.agent) for error in peer.errors()]
    assert errors == [(7, 1), (None, 1)]

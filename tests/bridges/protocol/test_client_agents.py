"""Client session of several agents: each has its own pictures, goals and owner, and all have one connection."""

import json
from typing import Any

import pytest

from bridges.errors import AnswerError
from bridges.protocol.client_session import ClientSession
from bridges.protocol.decision import Latency
from bridges.protocol.fields import Message
from bridges.protocol.messages import (
    Ack,
    Act,
    Control,
    ErrorMessage,
    Event,
    Hello,
    Instruct,
    Say,
    Welcome,
)
from games.voxel import SPEC

WELCOME = Welcome(session="a", policy="p", max_message=1, max_pixels=1, resume="key")


def act(number: int, agent: int = 0) -> Act:
    latency = Latency(queue_ms=0, infer_ms=0, age_ms=0)
    return Act(
        action={}, words="", probability=1, session="a", observation=number, valid_ms=100, latency=latency, agent=agent
    )  # fmt: skip


def attached(mode: str = "lockstep", agents: int = 2) -> ClientSession:
    session = ClientSession(Hello(spec=SPEC, mode=mode, agents=agents, instruction="dig"))
    session.connected(WELCOME)
    return session


def hear(session: ClientSession, message: Message) -> Any:
    return session.receive(message.model_dump_json(), 0)


def sent(session: ClientSession) -> list[Any]:
    """Texts as (number, type, agent), pictures as they are."""
    values = [json.loads(d) if isinstance(d, str) else d for d in session.data_to_send()]
    return [
        v if isinstance(v, bytes) else (v.get("seq"), v["type"], v.get("agent")) for v in values
    ]


def test_each_agent_has_its_own_answers() -> None:
    session = attached()
    first, second = session.agents
    for agent, data in ((0, b"a1"), (1, b"b1"), (1, b"b2")):
        session.observe(data, 0, agent=agent, awaited=True)
    assert (first.number, second.number) == (1, 2)
    hear(session, act(1, agent=1))
    assert first.take_act(1) is None
    assert first.action_due(0) is None
    assert second.take_act(1) == second.action_due(0) == act(1, agent=1)
    hear(session, ErrorMessage(code="policy_failed", message="no", observation=1))
    assert isinstance(first.take_act(1), AnswerError)
    assert second.take_act(2) is None


def test_each_agent_has_its_own_goal_and_owner() -> None:
    session = attached()
    first, second = session.agents
    session.send(Instruct(text="chop", agent=1))
    session.send(Control(owner="shared", agent=1))
    hear(session, Instruct(text="wait", agent=1))
    hear(session, Control(owner="human", agent=0))
    assert (first.instruction, first.owner) == ("dig", "human")
    assert (second.instruction, second.own_instruction, second.owner) == ("wait", "chop", "shared")
    hear(session, Instruct(text="chop", release=True, agent=1))
    assert (second.instruction, second.console_instruction) == ("chop", None)


def test_an_episodes_end_is_one_agents() -> None:
    session = attached("realtime")
    for agent in (0, 1):
        session.observe(b"", 0, agent=agent)
        hear(session, act(1, agent))
    session.send(Event(terminated=True, agent=1))
    assert session.agents[0].action_due(0) == act(1)
    assert session.agents[1].action_due(0) is None


def test_what_names_another_agent_is_left_alone() -> None:
    session = attached()
    assert hear(session, act(1, agent=7)) == act(1, agent=7)
    assert session.agents[0].action_due(0) is None
    assert hear(session, Instruct(text="x", agent=2)) is not None
    assert [agent.instruction for agent in session.agents] == ["dig", "dig"]


def test_what_each_agents_session_has_is_not_sent_again() -> None:
    session = attached()
    for agent, data in ((0, b"a1"), (1, b"b1"), (0, b"a2"), (1, b"b2")):
        session.observe(data, 0, agent=agent)
    hear(session, act(1, agent=1))
    session.data_to_send()
    session.disconnected()
    update = {"resumed": True, "observation": 1, "observations": (1, None)}
    session.connected(WELCOME.model_copy(update=update))
    assert sent(session) == [b"a2", b"b2"]
    session.disconnected()
    session.connected(WELCOME)
    assert sent(session) == [b"a1", b"a2", b"b2"]


def test_to_a_new_session_each_agents_goal_and_owner_is_repeated() -> None:
    session = attached(agents=3)
    session.send(Instruct(text="chop", agent=1))
    session.send(Control(owner="human", agent=2))
    hear(session, Ack(received=2))
    session.send(Say(text="hm", agent=2))
    session.observe(b"c1", 0, agent=2)
    session.data_to_send()
    session.disconnected()
    assert (session.hello().instruction, session.hello().agents) == ("dig", 3)
    session.connected(WELCOME.model_copy(update={"resume": "other"}))
    assert sent(session) == [(1, "instruct", 1), (2, "control", 2), (3, "say", 2), b"c1"]
    assert session.waiting_texts == 3


def test_pictures_of_all_cameras_go_and_come_again_together() -> None:
    session = attached()
    session.observe(b"0", 0, agent=1, cameras=[b"2", b"1"])
    session.observe(b"x", 0)
    assert sent(session) == [b"2", b"1", b"0", b"x"]
    session.disconnected()
    session.connected(WELCOME)
    assert sent(session) == [b"2", b"1", b"0", b"x"]
    hear(session, act(1, agent=1))
    session.disconnected()
    session.connected(WELCOME)
    assert sent(session) == [b"x"]


def test_in_realtime_no_agents_past_counts() -> None:
    session = attached("realtime")
    for agent in (0, 1):
        session.observe(b"", 0, agent=agent, awaited=True)
        hear(session, act(1, agent))
        session.observe(b"", 0, agent=agent, awaited=True)
    session.disconnected()
    for state in session.agents:
        assert state.action_due(0) is None
        assert isinstance(state.take_act(2), AnswerError)


@pytest.mark.parametrize("connected", [True, False])
def test_a_question_for_the_time_is_lost_with_its_connection(connected: bool) -> None:
    session = attached()
    if not connected:
        session.disconnected()
    session.ask_clock(3.0)
    assert sent(session) == ([(None, "clock", None)] if connected else [])
    session.disconnected()
    problem = session.take_exchange()
    assert isinstance(problem, AnswerError)
    assert problem.code == "connection_lost"
    assert session.take_exchange() is None


def test_only_the_answer_to_the_newest_question_counts() -> None:
    session = attached()
    session.ask_clock(3.0)
    (question,) = session.data_to_send()
    session.ask_clock(4.0)
    session.receive('{"type":"clock","t0":3000,"t1":7001,"t2":7002}', 4.5)
    session.receive('{"type":"clock","t0":4000}', 4.5)
    assert session.take_exchange() is None
    session.receive('{"type":"clock","t0":4000,"t1":8001,"t2":8002}', 4.5)
    exchange = session.take_exchange()
    assert question == '{"type":"clock","t0":3000.0}'
    assert not isinstance(exchange, AnswerError)
    assert exchange is not None
    assert (exchange.round_trip_ms, exchange.offset_ms) == (499, 3751.5)

"""Client session: what is sent, what is sent again, and which answer belongs to what, without a socket."""

import json
from typing import Any

import pytest

from bridges.errors import AnswerError
from bridges.protocol.client_session import MAX_WAITING, ClientSession
from bridges.protocol.decision import Latency, PlannedAction
from bridges.protocol.fields import Message
from bridges.protocol.messages import (
    Ack,
    Act,
    Answer,
    Control,
    ErrorMessage,
    Event,
    Hello,
    Instruct,
    Query,
    Welcome,
)
from games.voxel import SPEC


def welcome(**fields: Any) -> Welcome:
    return Welcome(
        **{
            "session": "a",
            "policy": "p",
            "max_message": 1,
            "max_pixels": 1,
            "resume": "key",
            **fields,
        }
    )


def act(number: int, **fields: Any) -> Act:
    latency = Latency(queue_ms=0, infer_ms=0, age_ms=0)
    return Act(
        **{"action": {}, "words": "", "probability": 1, "session": "a", "observation": number,
        "valid_ms": 100, "latency": latency, **fields}
    )  # fmt: skip


def attached(mode: str = "realtime") -> ClientSession:
    session = ClientSession(Hello(spec=SPEC, mode=mode))
    session.connected(welcome())
    return session


def hear(session: ClientSession, message: Message, seq: int | None = None, now: float = 0) -> Any:
    value = message.model_dump(mode="json")
    return session.receive(json.dumps(value if seq is None else {"seq": seq, **value}), now)


def sent(session: ClientSession) -> list[Any]:
    """Texts as (number, type, text), pictures as they are."""
    values = [json.loads(d) if isinstance(d, str) else d for d in session.data_to_send()]
    return [
        v if isinstance(v, bytes) else (v.get("seq"), v["type"], v.get("text", v.get("received")))
        for v in values
    ]


def test_the_first_hello_asks_for_a_key_and_a_later_one_gives_it() -> None:
    session = ClientSession(Hello(spec=SPEC, instruction="dig"))
    hello = session.hello()
    assert (hello.resumable, hello.resume, hello.received) == (True, None, 0)
    session.connected(welcome())
    hear(session, Instruct(text="chop"), seq=3)
    hear(session, Control(owner="human"), seq=4)
    session.disconnected()
    hello = session.hello()
    assert (hello.resume, hello.received, hello.instruction) == ("key", 4, "dig")
    assert session.agents[0].instruction == "chop"  # a console's, which the server keeps
    assert (hello.owner, session.agents[0].owner) == ("human", "human")


def test_texts_wait_for_their_acknowledgement_and_are_sent_again() -> None:
    session = attached()
    for text in "abc":
        session.send(Instruct(text=text))
    hear(session, Ack(received=1))
    assert session.waiting_texts == 2
    session.data_to_send()
    session.disconnected()
    session.send(Instruct(text="d"))
    assert not session.has_data_to_send
    session.connected(welcome(resumed=True, received=2))
    assert sent(session) == [(3, "instruct", "c"), (4, "instruct", "d")]
    assert session.agents[0].instruction == "d"


def test_to_a_new_session_all_that_waits_is_sent_with_new_numbers() -> None:
    session = attached()
    session.send(Instruct(text="a"))
    hear(session, Ack(received=1))
    session.send(Instruct(text="b"))
    session.send(Query(id=session.next_query(), kind="why"))
    hear(session, Ack(received=3))
    session.send(Instruct(text="c"))
    hear(session, Instruct(text="x"), seq=1)
    session.data_to_send()
    session.disconnected()
    session.connected(welcome(session="b", resume="other"))
    assert sent(session) == [(1, "instruct", "c"), (2, "query", None)]
    assert hear(session, Instruct(text="y"), seq=1) is not None
    assert session.hello().resume == "other"


def test_a_numbered_message_counts_once_and_is_acknowledged() -> None:
    session = attached()
    assert hear(session, Instruct(text="a"), seq=1) is not None
    assert hear(session, Instruct(text="b"), seq=1) is None
    assert session.agents[0].instruction == "a"
    assert sent(session) == [(None, "ack", 1)]


def test_in_lockstep_pictures_without_an_answer_are_sent_again_in_their_order() -> None:
    session = attached("lockstep")
    session.observe(b"1", 0)
    hear(session, act(1), seq=1)
    session.observe(b"2", 0)
    session.send(Event(terminated=True))
    session.observe(b"3", 0)
    session.data_to_send()
    session.disconnected()
    session.observe(b"4", 0)
    session.connected(welcome(resumed=True, received=0, observation=2))
    assert sent(session) == [(1, "event", None), b"3", b"4"]
    session.disconnected()
    session.connected(welcome())
    assert sent(session) == [b"2", (1, "event", None), b"3", b"4"]


def test_in_lockstep_answers_are_acknowledged_in_groups() -> None:
    session = attached("lockstep")
    for number in range(1, 17):
        session.observe(b"", 0)
        hear(session, act(number), seq=number)
    acks = [message for message in sent(session) if message != b""]
    assert acks == [(None, "ack", 8), (None, "ack", 16)]


def test_in_realtime_nothing_of_the_past_counts() -> None:
    session = attached()
    session.observe(b"1", 0, awaited=True)
    session.observe(b"2", 0)
    hear(session, act(1), now=0)
    assert session.agents[0].action_due(0) is not None
    session.observe(b"3", 0, awaited=True)
    session.data_to_send()
    session.disconnected()
    assert session.agents[0].action_due(0) is None
    assert isinstance(session.agents[0].take_act(1), Act)
    lost = session.agents[0].take_act(3)
    assert isinstance(lost, AnswerError)
    assert lost.code == "connection_lost"
    session.observe(b"4", 0, awaited=True)
    assert isinstance(session.agents[0].take_act(4), AnswerError)
    session.connected(welcome(resumed=True))
    assert sent(session) == []
    hear(session, act(3), now=0)
    assert session.agents[0].action_due(0) is None
    session.observe(b"5", 0)
    hear(session, act(5), now=0)
    assert session.agents[0].action_due(0) == act(5)


def test_the_keys_are_released_at_once_and_after_the_valid_time() -> None:
    session = attached("lockstep")
    session.observe(b"", 0)
    hear(session, act(1, step_ms=10, later=[PlannedAction(action={"a": 1}, words="a")]), now=0.005)
    due = session.agents[0].action_due(0.012)
    assert due is not None
    assert due.words == "a"
    assert session.agents[0].action_due(0.104) is not None
    assert session.agents[0].action_due(0.106) is None
    assert session.agents[0].action_due(0.1) is not None
    session.disconnected()
    assert session.agents[0].action_due(0.1) is None


@pytest.mark.parametrize("code", ["policy_failed", "episode_over", "too_many", "bad_picture", "x"])
def test_an_error_belongs_to_its_picture(code: str) -> None:
    session = attached("lockstep")
    for data in (b"1", b"2"):
        session.observe(data, 0, awaited=True)
    error = ErrorMessage(code=code, message="no", hint="wait", observation=1)
    assert hear(session, error) == error
    problem = session.agents[0].take_act(1)
    assert isinstance(problem, AnswerError)
    assert (str(problem), problem.code) == ("no; wait", code)
    assert session.agents[0].take_act(2) is None
    hear(session, act(2))
    assert session.agents[0].take_act(2) == act(2)


def test_a_remark_about_a_picture_is_not_its_answer() -> None:
    session = attached("lockstep")
    session.observe(b"1", 0, awaited=True)
    assert hear(session, ErrorMessage(code="bad_report", message="no", observation=1))
    assert session.agents[0].take_act(1) is None


def test_an_answer_belongs_to_its_query() -> None:
    session = attached()
    first, second, third = (session.next_query() for _ in range(3))
    for number in (first, second, third):
        session.send(Query(id=number, kind="why"))
    session.forget_query(third)
    hear(session, Answer(id=second, kind="why", text="so"))
    hear(session, ErrorMessage(code="policy_failed", message="no", id=first))
    hear(session, Answer(id=third, kind="why", text="late"))
    assert session.take_answer(second) == "so"
    assert isinstance(session.take_answer(first), AnswerError)
    assert session.take_answer(third) is None
    assert session.take_answer(second) is None


def test_after_an_episode_answers_to_its_pictures_are_ignored() -> None:
    session = attached()
    session.observe(b"1", 0)
    session.send(Event(terminated=True))
    hear(session, act(1))
    assert session.agents[0].action_due(0) is None


def test_what_waits_is_bounded() -> None:
    session = attached()
    assert all(session.send(Event()) for _ in range(MAX_WAITING))
    assert not session.send(Event())

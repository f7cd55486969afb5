"""Mailbox: what must arrive is numbered and kept until it is acknowledged."""

import json

import pytest

from bridges.protocol.decision import Latency
from bridges.protocol.fields import Message
from bridges.protocol.mailbox import Mailbox, must_arrive
from bridges.protocol.messages import (
    Ack,
    Act,
    Answer,
    ErrorMessage,
    Instruct,
)

ACT = Act(
    action={}, words="", probability=1, session="a", observation=1, valid_ms=1,
    latency=Latency(queue_ms=0, infer_ms=0, age_ms=0),
)  # fmt: skip
FAILED = ErrorMessage(code="policy_failed", message="no", observation=1)


def numbers(texts: list[str]) -> list[int]:
    return [json.loads(text)["seq"] for text in texts]


def test_messages_wait_until_they_are_acknowledged() -> None:
    mailbox = Mailbox(lockstep=False)
    sent = [mailbox.encode(Instruct(text=text)) for text in "abc"]
    assert numbers(sent) == [1, 2, 3]
    assert mailbox.waiting() == sent
    mailbox.settle(2)
    assert numbers(mailbox.waiting()) == [3]
    assert numbers([mailbox.encode(Instruct(text="d"))]) == [4]


def test_the_oldest_messages_make_room() -> None:
    mailbox = Mailbox(lockstep=False, capacity=2)
    for text in "abc":
        mailbox.encode(Instruct(text=text))
    assert numbers(mailbox.waiting()) == [2, 3]


def test_a_number_counts_once() -> None:
    mailbox = Mailbox(lockstep=False)
    assert [mailbox.receive({"seq": seq}) for seq in (1, 2, 2, 1, 5)] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert mailbox.received == 5
    assert mailbox.receive({})
    assert all(mailbox.receive({"seq": wrong}) for wrong in (0, -1, True, "9", 2.0, None, 2**53))
    assert mailbox.received == 5


def test_a_repeated_message_is_acknowledged_again() -> None:
    mailbox = Mailbox(lockstep=False)
    assert mailbox.take_acks() == []
    mailbox.receive({"seq": 1})
    assert (mailbox.take_acks(), mailbox.take_acks()) == ([Ack(received=1)], [])
    mailbox.receive({"seq": 1})
    assert mailbox.take_acks() == [Ack(received=1)]


def test_a_session_that_cannot_be_resumed_has_no_numbers() -> None:
    mailbox = Mailbox(lockstep=True, capacity=0)
    assert "seq" not in json.loads(mailbox.encode(Instruct(text="a")))
    assert mailbox.receive({"seq": 1})
    assert mailbox.receive({"seq": 1})
    assert mailbox.take_acks() == []


@pytest.mark.parametrize(
    ("message", "lockstep", "realtime"),
    [
        (Instruct(text="a"), True, True),
        (Answer(id=1, kind="why", text="so"), True, True),
        (ErrorMessage(code="policy_failed", message="no", id=1), True, True),
        (ACT, True, False),
        (FAILED, True, False),
        (Ack(received=1), False, False),
    ],
)
def test_an_old_action_arrives_in_lockstep_only(
    message: Message, lockstep: bool, realtime: bool
) -> None:
    assert must_arrive(message, lockstep=True) == lockstep
    assert must_arrive(message, lockstep=False) == realtime

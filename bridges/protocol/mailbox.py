"""Mailbox: a server's numbered messages to one game, which outlive its connections; without sockets.

Each side numbers its texts (`seq`: 1, 2, …) and keeps them until the other acknowledges them. After a resume it sends
again what was not acknowledged, and the other ignores the numbers that it has. So none is lost and none counts twice.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from bridges.protocol.messages import Ack, Act, ErrorMessage
from bridges.protocol.record_lane import RecordLane

CAPACITY = 256
"""Messages that wait for an acknowledgement; the oldest make room."""
NUMBERED = {"instruct", "control", "correct", "say", "text.done", "error", "record.state"}
"""Types of a server's messages that must arrive; a `credit` counts from the beginning, and the welcome has it."""


class Mailbox:
    """What a game has not acknowledged, and what came from it; with a `capacity` of 0 nothing is numbered."""

    def __init__(self, *, lockstep: bool, capacity: int = CAPACITY) -> None:
        self.received = 0
        """Number of the newest message from the game."""
        self._lockstep, self._capacity = lockstep, capacity
        self._acknowledged = self._sent = 0
        self._waiting: deque[tuple[int, str]] = deque(maxlen=capacity)

    def encode(self, message: Any) -> str:
        """A message model as JSON; numbered and kept where it must arrive."""
        text: str = message.model_dump_json()
        if not self._capacity or not must_arrive(message, lockstep=self._lockstep):
            return text
        self._sent += 1
        numbered = with_number(text, self._sent)
        self._waiting.append((self._sent, numbered))
        return numbered

    def settle(self, seq: int) -> None:
        """The game has everything up to this number."""
        while self._waiting and self._waiting[0][0] <= seq:
            self._waiting.popleft()

    def waiting(self) -> list[str]:
        """What is not acknowledged, in order."""
        return [text for _, text in self._waiting]

    def receive(self, value: dict[str, Any]) -> bool:
        """Whether a message of the game is new; one without a number is."""
        seq = number_of(value) if self._capacity else None
        if seq is None:
            return True
        self._acknowledged = min(self._acknowledged, seq - 1)
        is_new = seq > self.received
        self.received = max(self.received, seq)
        return is_new

    def take_acks(self) -> list[Ack]:
        """The acknowledgement of what came since the last call; none where nothing did."""
        if self._acknowledged >= self.received:
            return []
        self._acknowledged = self.received
        return [Ack(received=self.received)]


@dataclass(frozen=True)
class Resumption:
    """What a session brings to a connection; `key` is empty where it cannot be resumed.

    `observations` are the numbers of the newest ones that a resumed session's agents have, in lockstep or a recording;
    `lane` is a recording's.
    """

    key: str
    mailbox: Mailbox
    resumed: bool = False
    observations: tuple[int | None, ...] = (None,)
    lane: RecordLane | None = None

    def fields(self) -> dict[str, Any]:
        """What the welcome says of it."""
        return {
            "resume": self.key,
            "resumed": self.resumed,
            "received": self.mailbox.received,
            "observation": self.observations[0],
            "observations": self.observations if len(self.observations) > 1 else (),
            "credit": None if self.lane is None else self.lane.credit(),
        }


def must_arrive(message: Any, *, lockstep: bool) -> bool:
    """Whether a server numbers a message: texts, in lockstep also answers; in realtime an old one is worth nothing."""
    match message:
        case Act():
            return lockstep
        case ErrorMessage(observation=number) if number is not None:
            return lockstep
    return message.type in NUMBERED


def with_number(text: str, seq: int) -> str:
    """A JSON object with its number."""
    return f'{{"seq":{seq},{text[1:]}'


def number_of(value: dict[str, Any]) -> int | None:
    """The number of a message, where it has a right one."""
    seq = value.get("seq")
    return seq if type(seq) is int and 0 < seq < 2**53 else None

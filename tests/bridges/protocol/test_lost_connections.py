"""Lost connections: both sides of lockstep sessions, cut anywhere, lose no text and no picture and double none."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.protocol.client_session import ClientSession
from bridges.protocol.connection import Connection
from bridges.protocol.decision import Latency
from bridges.protocol.frames import EncodedFrame
from bridges.protocol.frames import pack as pack_frame
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.mailbox import Mailbox, Resumption
from bridges.protocol.messages import (
    Act,
    Hello,
    Instruct,
    Say,
    Welcome,
    from_server,
)
from bridges.testing.scripted_peer import PIXELS
from games.voxel import SPEC

STEPS = ["client text", "server text", "picture", "answer", "up", "down", "cut"]
LATENCY = Latency(queue_ms=0, infer_ms=0, age_ms=0)


class Wire:
    """A client session and a server's connection, and what is on its way between them."""

    def __init__(self, agents: int) -> None:
        self.agents = range(agents)
        self.client = ClientSession(Hello(spec=SPEC, mode="lockstep", agents=agents, cameras=2))
        self.resumption = Resumption("key", Mailbox(lockstep=True))
        self.pictures: list[list[int]] = [[] for _ in self.agents]
        self.unanswered: list[EncodedFrame] = []
        self.to_server: list[str] = []
        self.to_client: list[str] = []
        self.answered: list[list[int]] = [[] for _ in self.agents]
        self.texts = 0
        self.sent = {"client": 0, "server": 0}
        self.open(resumed=False)

    def open(self, *, resumed: bool = True) -> None:
        """A new connection, up to its welcome."""
        self.connection = Connection(ConnectionLimits(), token=None, now=0)
        assert self.connection.receive(self.client.hello().model_dump_json(), 0)
        observations = tuple(numbers[-1] if numbers else None for numbers in self.pictures)
        resume = replace(self.resumption, resumed=resumed, observations=observations)
        self.connection.accept(session="a", policy="p", instruction="", warnings=(), resume=resume)
        welcome, *self.down = self.connection.data_to_send()
        message = from_server(str(welcome))
        assert isinstance(message, Welcome)
        self.client.connected(message)
        self.up: list[Any] = self.client.data_to_send()

    def cut(self) -> None:
        """What is on its way is lost."""
        self.connection.close(1006, "")
        self.client.disconnected()

    def step(self, step: str) -> None:
        match step:
            case "client text":
                assert self.client.send(Say(text=str(self.sent["client"])))
                self.sent["client"] += 1
            case "server text":
                self.connection.send(Instruct(text=str(self.sent["server"])))
                self.sent["server"] += 1
            case "picture":
                if len(self.client._waiting) < 10:
                    self.observe(len(self.client._waiting) % len(self.agents))
            case "answer" if self.unanswered:
                self.connection.send(answer(self.unanswered.pop(0)))
            case "up" if self.up:
                self.receive(self.up.pop(0))
            case "down" if self.down:
                self.hear(str(self.down.pop(0)))
            case "cut":
                self.cut()
                self.open()
        self.up += self.client.data_to_send()
        self.down += self.connection.data_to_send()

    def observe(self, agent: int) -> None:
        number = self.client.agents[agent].number + 1
        other, first = (
            pack_frame(PIXELS, number, 0, agent=agent, camera=camera) for camera in (1, 0)
        )
        self.client.observe(first, 0, agent=agent, cameras=[other])

    def receive(self, data: Any) -> None:
        for message in self.connection.receive(data, 0):
            if isinstance(message, EncodedFrame):
                assert set(message.cameras) == {1}
                self.pictures[message.agent].append(message.number)
                self.unanswered.append(message)
            elif isinstance(message, Say):
                self.to_server.append(message.text)

    def hear(self, text: str) -> None:
        match self.client.receive(text, 0):
            case Instruct(text=words):
                self.to_client.append(words)
            case Act(observation=number, agent=agent):
                self.answered[agent].append(number)

    def settle(self) -> None:
        """Deliver all that is on its way, and answer all."""
        while self.up or self.down or self.unanswered:
            for step in ("up", "answer", "down"):
                self.step(step)


def answer(picture: EncodedFrame) -> Act:
    return Act(
        action={}, words="", probability=1, session="a", observation=picture.number, agent=picture.agent, valid_ms=1,
        latency=LATENCY,
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.lists(st.sampled_from(STEPS), max_size=120))
def test_nothing_is_lost_or_doubled(agents: int, steps: list[str]) -> None:
    wire = Wire(agents)
    for step in steps:
        wire.step(step)
    wire.cut()
    wire.open()
    wire.settle()
    assert wire.to_server == [str(n) for n in range(wire.sent["client"])]
    assert wire.to_client == [str(n) for n in range(wire.sent["server"])]
    for agent, pictures, answered in zip(
        wire.client.agents, wire.pictures, wire.answered, strict=True
    ):
        assert pictures == list(range(1, agent.number + 1))
        assert sorted(answered) == pictures
    assert not wire.client.waiting_texts
    assert json.loads(wire.client.hello().model_dump_json())["resume"] == "key"

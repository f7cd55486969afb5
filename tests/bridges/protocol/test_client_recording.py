"""Recording over connections that are lost: both sides together lose no picture and no text, and double none."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.protocol.client_recording import EpisodeDigest
from bridges.protocol.client_session import ClientSession
from bridges.protocol.connection import Connection
from bridges.protocol.frames import EncodedFrame, pack
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.mailbox import Mailbox, Resumption
from bridges.protocol.messages import MAX_MESSAGE, Event, Hello, Say, Welcome, from_server
from bridges.protocol.record_lane import RecordLane, RecordWindow
from bridges.protocol.record_messages import RecordState
from games.voxel import SPEC

STEPS = ["picture", "text", "end", "record", "credit", "up", "up", "down", "down", "cut"]
LIMITS = ConnectionLimits()


def picture(value: int) -> bytes:
    return pack(np.full((1, 1, 3), value % 256, np.uint8), 0, 0)


class Recorder:
    """What a server's recorder has of one session, and the states of ended episodes."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.episode: list[bytes] = []
        self.recorded = 0
        self.states: list[RecordState] = []

    def hear(self, message: Any) -> None:
        match message:
            case EncodedFrame():
                self.log.append(f"picture {message.payload[0]}")
                self.episode.append(message.payload)
            case Say():
                self.log.append(message.text)
            case Event():
                self.log.append("end")
                if self.episode:
                    self.states.append(self.state())
                self.episode = []

    def state(self) -> RecordState:
        data = b"".join(self.episode)
        count = len(self.episode)
        return RecordState(
            episode="e", pictures=count, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), steps=count
        )  # fmt: skip


class Wire:
    """A client, a server's connection and its recorder, and what is on its way between them."""

    def __init__(self) -> None:
        self.client = ClientSession(Hello(role="record", spec=SPEC, mode="realtime"))
        self.sent: list[str] = []
        self.pictures = 0
        self.is_waiting = False
        """Whether the episode has ended and its state has not come."""
        self.differences: list[str] = []
        self.recorders: list[Recorder] = []
        self.start_server()
        self.open()

    def start_server(self) -> None:
        self.recorder = Recorder()
        self.recorders.append(self.recorder)
        lane = RecordLane(RecordWindow(pictures=5, size=2 * MAX_MESSAGE))
        self.resumption = Resumption("key", Mailbox(lockstep=True), lane=lane)
        self.lane, self.resumes = lane, False

    def open(self) -> None:
        """A new connection, up to its welcome."""
        self.connection = Connection(LIMITS, token=None, now=0)
        assert self.connection.receive(self.client.hello().model_dump_json(), 0)
        observations = (self.lane.received or None,)
        resume = replace(self.resumption, resumed=self.resumes, observations=observations)
        self.resumes = True
        self.connection.accept(session="a", policy="", instruction="", warnings=(), resume=resume)
        welcome, *self.down = self.connection.data_to_send()
        message = from_server(str(welcome))
        assert isinstance(message, Welcome)
        self.client.connected(message)
        self.up: list[Any] = self.client.data_to_send()

    def cut(self) -> None:
        self.connection.close(1006, "")
        self.client.disconnected()

    @property
    def recording(self) -> Any:
        assert self.client.recording is not None
        return self.client.recording

    def step(self, step: str) -> None:
        match step:
            case "picture":
                self.send_picture()
            case "text":
                assert self.client.send(Say(text=f"text {len(self.sent)}"))
                self.sent.append(f"text {len(self.sent)}")
            case "end" if self.pictures and not self.is_waiting:
                assert self.client.send(Event(terminated=True))
                self.sent.append("end")
                self.is_waiting, self.pictures = True, 0
            case "record":
                self.recorder.recorded = max(0, self.lane.received - bool(self.recorder.episode))
            case "credit":
                self.send_credit()
            case "up" if self.up:
                for message in self.connection.receive(self.up.pop(0), 0):
                    self.recorder.hear(message)
            case "down" if self.down:
                self.client.receive(str(self.down.pop(0)), 0)
            case "cut":
                self.cut()
                self.open()
        if self.recording.states:
            self.differences.append(self.recording.take_state()[1])
            self.is_waiting = False
        self.up += self.client.data_to_send()
        self.down += self.connection.data_to_send()

    def send_picture(self) -> None:
        data = picture(len(self.sent))
        if not self.is_waiting and self.recording.may_send(
            self.client.agents[0].number + 1, len(data)
        ):
            number = self.client.agents[0].number + 1
            self.client.observe(data[:12] + number.to_bytes(4, "little") + data[16:], 0)
            self.sent.append(f"picture {len(self.sent) % 256}")
            self.pictures += 1

    def send_credit(self) -> None:
        if credit := self.lane.take_credit(self.recorder.recorded, all_of_it=True):
            self.connection.send(credit)
        while self.recorder.states and self.recorder.recorded == self.lane.received:
            self.connection.send(self.recorder.states.pop(0))

    def settle(self) -> None:
        """All arrives."""
        self.cut()
        self.open()
        for _ in range(2 * (len(self.sent) + 20)):
            for step in ("up", "up", "record", "credit", "down", "down", "down"):
                self.step(step)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=100))
def test_nothing_is_lost_doubled_or_out_of_order(steps: list[str]) -> None:
    wire = Wire()
    for step in steps:
        wire.step(step)
        assert wire.connection.close_code is None
    wire.settle()
    assert wire.recorder.log == wire.sent
    assert wire.differences == [""] * wire.sent.count("end")
    assert not wire.client.waiting_texts
    assert len(wire.client.waiting_pictures) == bool(wire.recorder.episode)


def test_another_session_gets_what_is_not_recorded() -> None:
    wire = Wire()
    for _ in range(4):
        wire.step("picture")
    for step in ["text", "up", "up", "up", "record", "credit", "down", "down"]:
        wire.step(step)
    wire.cut()
    wire.start_server()
    wire.open()
    wire.step("picture")
    wire.step("end")
    wire.settle()
    before, after = wire.recorders
    assert before.log == ["picture 0", "picture 1", "picture 2"]
    assert after.log == ["picture 2", "picture 3", "text 4", "picture 5", "end"]
    assert wire.differences == [""]


def test_an_end_whose_session_is_lost_is_known_to_be_lost() -> None:
    wire = Wire()
    for step in ["picture", "end", "up", "up", "down"]:
        wire.step(step)
    wire.cut()
    wire.start_server()
    wire.open()
    assert wire.recording.end_is_lost


@pytest.mark.parametrize(
    ("field", "value", "difference"),
    [
        ("pictures", 2, "pictures 2, not 1"),
        ("bytes", 4, "bytes 4, not 3"),
        ("steps", 0, "steps 0, not 1"),
        ("dropped", 1, "dropped 1, not 0"),
        ("error", "full", "full"),
        ("sha256", "0", "sha256 0, not "),
    ],
)
def test_what_is_not_as_it_was_sent_is_named(field: str, value: Any, difference: str) -> None:
    digest, recorder = EpisodeDigest(), Recorder()
    digest.add(picture(7))
    recorder.episode = [bytes([7] * 3)]
    assert digest.difference(recorder.state()) == ""
    assert digest.difference(recorder.state().model_copy(update={field: value})).startswith(
        difference
    )

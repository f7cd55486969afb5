"""Random peers: whatever a peer sends and whenever, the connection keeps its promises."""

import json
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bridges.protocol.connection import Connection, ConnectionState, Received
from bridges.protocol.decision import Latency
from bridges.protocol.frames import Codec, EncodedFrame, pack, with_number
from bridges.protocol.lanes import Budget
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.mailbox import Mailbox, Resumption
from bridges.protocol.messages import (
    MAX_MESSAGE,
    Act,
    Answer,
    Control,
    Correct,
    ErrorMessage,
    Event,
    Hello,
    Instruct,
    Query,
    Say,
    Subscribe,
    Welcome,
    from_server,
)
from bridges.protocol.record_lane import RecordLane, RecordWindow
from games.voxel import SPEC

BUDGET = Budget(messages_per_s=1, bytes_per_s=1 << 20, burst_s=4)
LIMITS = ConnectionLimits(
    pictures=BUDGET, texts=BUDGET, mistakes=BUDGET, control_frames=BUDGET, max_in_flight=3,
    max_queries=2, unread_s=2,
)  # fmt: skip
WINDOW = RecordWindow(pictures=3, size=2 * MAX_MESSAGE)
HELLO = {"type": "hello", "token": "right", "spec": SPEC.model_dump(mode="json")}
PICTURES = [pack(np.zeros((2, 3, 3), np.uint8), 1, 0, codec) for codec in (Codec.RGB, Codec.JPEG)]
REPORTS = ['{"executed":{"jump":1}}', '{"input":{"jmp":1},"reward":1}', "{", '{"state":[]}']
PICTURES += [pack(np.zeros((2, 3, 3), np.uint8), 1, 0, meta=report.encode()) for report in REPORTS]
PICTURES += [
    pack(np.zeros((2, 3, 3), np.uint8), number, 0, agent=agent, camera=camera)
    for number, agent, camera in ((1, 1, 0), (1, 0, 1), (2, 0, 1), (1, 0, 3))
]
KNOWN = [
    "hello", "instruct", "event", "subscribe", "query", "bye", "act", "welcome", "x", "control", "correct", "say",
    "clock",
]  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.just(10**400), st.text(max_size=5),
    st.lists(st.integers(), max_size=2), st.sampled_from(["why", "caption", "play", "right", "human"]),
    st.just({"jump": 1}),
)  # fmt: skip
FIELDS = st.sampled_from([
    "text", "session", "id", "kind", "version", "terminated", "spec", "role", "owner", "t0", "executed", "agent",
    "cameras",
])  # fmt: skip
MESSAGES = st.builds(
    lambda kind, fields: json.dumps({"type": kind, **fields}),
    st.sampled_from(KNOWN),
    st.dictionaries(FIELDS, VALUES, max_size=3),
)
GARBAGE = st.one_of(
    st.binary(max_size=40), st.text(max_size=10), st.just("["), st.just("[" * 50),
    st.builds(lambda cut, tail: PICTURES[0][:cut] + tail, st.integers(0, 40), st.binary(max_size=9)),
)  # fmt: skip


class RandomPeer(RuleBasedStateMachine):
    """A peer that sends anything, and a server that answers what it is asked, late or never."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.opened = 50.0
        self.connection = Connection(LIMITS, token="right", now=self.now)
        self.texts = self.pictures = self.welcomes = 0
        self.unanswered: list[int] = []
        self.recorded: list[int] = []
        self.lane = RecordLane(WINDOW)
        self.queries: list[int] = []
        self.was_closed = False

    @initialize(
        hello=st.sampled_from(
            [("realtime", "play"), ("lockstep", "play"), ("lockstep", "record"), None]
        )
    )
    def begin(self, hello: tuple[str, str] | None) -> None:
        if hello:
            self.send_hello(*hello)

    @rule(
        mode=st.sampled_from(["realtime", "lockstep"]),
        role=st.sampled_from(["play", "record", "watch"]),
    )
    def send_hello(self, mode: str, role: str) -> None:
        self.receive(json.dumps({**HELLO, "mode": mode, "role": role, "cameras": 2}))

    @rule(data=MESSAGES)
    def send_message(self, data: str) -> None:
        self.receive(data)

    @rule(data=GARBAGE)
    def send_garbage(self, data: str | bytes) -> None:
        self.receive(data)

    @precondition(lambda self: self.connection.state is ConnectionState.PLAYING)
    @rule(data=st.sampled_from([*PICTURES, '{"type":"event"}']), count=st.integers(1, 7))
    def send_at_once(self, data: str | bytes, count: int) -> None:
        for _ in range(count):
            self.receive(data)

    @precondition(lambda self: self.connection.hello is not None)
    @rule(kind=st.sampled_from(["why", "caption"]), number=st.integers(0, 3))
    def send_query(self, kind: str, number: int) -> None:
        self.receive(json.dumps({"type": "query", "kind": kind, "id": number}))

    @rule(seconds=st.floats(0, 1), unsent=st.sampled_from([0, 0, 2 << 20]))
    def tick(self, seconds: float, unsent: int) -> None:
        self.now += seconds
        self.connection.tick(self.now, unsent)
        if self.connection.ping_due(self.now):
            self.connection.liveness.pinged(self.now)
        self.check_what_was_sent()

    @precondition(lambda self: self.connection.state is ConnectionState.RECORDING)
    @rule(count=st.integers(1, 4), gap=st.integers(0, 9))
    def send_recording(self, count: int, gap: int) -> None:
        for _ in range(count):
            number = len(self.recorded) + 1 + (gap == 9)
            self.receive(with_number(PICTURES[0], number))

    @precondition(lambda self: self.connection.state is ConnectionState.RECORDING)
    @rule(seen=st.integers(0, 9))
    def give_credit(self, seen: int) -> None:
        if credit := self.lane.take_credit(seen, all_of_it=True):
            self.connection.send(credit)
        self.check_what_was_sent()

    @rule(size=st.integers(0, 125))
    def send_ping(self, size: int) -> None:
        self.connection.receive_control_frame(size, self.now)
        self.connection.liveness.ponged(self.now)
        self.check_what_was_sent()

    @precondition(lambda self: self.unanswered)
    @rule(fails=st.booleans())
    def answer_picture(self, fails: bool) -> None:
        number = self.unanswered.pop(0)
        latency = Latency(queue_ms=0, infer_ms=0, age_ms=0)
        error = ErrorMessage(code="policy_failed", message="no", observation=number)
        act = Act(
            action={}, words="", probability=1, session="a", observation=number, valid_ms=1, latency=latency
        )  # fmt: skip
        self.connection.send(error if fails else act)
        self.check_what_was_sent()

    @precondition(lambda self: self.queries)
    @rule()
    def answer_query(self) -> None:
        self.connection.send(Answer(id=self.queries.pop(0), kind="why", text="so"))
        self.check_what_was_sent()

    def receive(self, data: str | bytes) -> None:
        for event in self.connection.receive(data, self.now):
            self.note(event)
        self.check_what_was_sent()

    def note(self, event: Received) -> None:
        """What a server does with what it is asked."""
        match event:
            case Hello():
                assert event.token == "right"
                lane = self.lane if event.role == "record" else None
                resume = Resumption("", Mailbox(lockstep=True, capacity=0), lane=lane)
                self.connection.accept(
                    session="a", policy="p", instruction="", warnings=(), resume=resume
                )
            case EncodedFrame() if self.connection.state is ConnectionState.RECORDING:
                self.recorded.append(event.number)
            case EncodedFrame():
                lockstep = self.connection.hello and self.connection.hello.mode == "lockstep"
                self.pictures += not lockstep
                self.unanswered += [event.number] if lockstep else []
            case Query():
                self.texts += 1
                self.queries.append(event.id)
            case Instruct() | Event() | Subscribe() | Control() | Correct() | Say():
                self.texts += 1

    def check_what_was_sent(self) -> None:
        """At most one welcome, no more than two messages for one received, nothing after the end."""
        sent: list[Any] = [from_server(str(data)) for data in self.connection.data_to_send()]
        assert len(sent) <= 2
        assert not (self.was_closed and sent)
        self.was_closed = self.connection.is_closed
        self.welcomes += sum(isinstance(message, Welcome) for message in sent)
        assert self.welcomes <= 1
        assert self.welcomes == 1 or all(isinstance(message, ErrorMessage) for message in sent)

    @invariant()
    def budgets_hold(self) -> None:
        most = BUDGET.messages_per_s * (BUDGET.burst_s + self.now - self.opened) + 1e-6
        assert self.texts <= most
        assert self.pictures <= most

    @invariant()
    def a_recording_has_no_gap_and_stays_within_its_credit(self) -> None:
        assert self.recorded == list(range(1, len(self.recorded) + 1))
        assert len(self.recorded) <= self.lane.recorded + WINDOW.pictures

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.connection.in_flight <= LIMITS.max_in_flight
        if not self.connection.is_closed:
            assert self.connection.in_flight == len(self.unanswered)
            assert len(self.queries) <= LIMITS.max_queries

    @invariant()
    def an_end_has_a_code_and_a_reason(self) -> None:
        assert self.connection.is_closed == (self.connection.close_code is not None)
        assert len(self.connection.close_reason.encode()) <= 123


TestRandomPeer = RandomPeer.TestCase
TestRandomPeer.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)

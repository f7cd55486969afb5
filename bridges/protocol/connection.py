"""Connection: the server's side of one connection as a state machine, without sockets and without a clock.

The shell hands in what it received and what time it is (seconds of a monotonic clock), and gets back what the peer
asks for; answers go in by `send`, and `data_to_send` says what to write. Once `close_code` is set, the shell writes
what is left and closes. All rules of PROTOCOL.md about one connection are here:

    EXPECT_HELLO --hello--> PLAYING | RECORDING | WATCHING | QUERYING --bye, deadline, abuse--> CLOSED

The shell answers a hello (`accept`, `refuse`) before it hands in the next message. After `CLOSED`, whatever is received
or sent is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import Any

from bridges.protocol import frames, messages
from bridges.protocol.cameras import CameraPictures
from bridges.protocol.fields import Owner
from bridges.protocol.frames import EncodedFrame, FrameError
from bridges.protocol.hello_reader import HelloError, read_hello
from bridges.protocol.in_flight import InFlight, query_id_of
from bridges.protocol.lanes import Lane
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.liveness import Liveness
from bridges.protocol.mailbox import Mailbox, Resumption
from bridges.protocol.messages import (
    MAX_MESSAGE,
    Ack,
    Act,
    Answer,
    Bye,
    Clock,
    Control,
    Correct,
    ErrorMessage,
    Event,
    Hello,
    Instruct,
    MessageError,
    Query,
    Say,
    Subscribe,
    Welcome,
)
from bridges.protocol.record_lane import RecordLane, RecordLaneError
from bridges.protocol.replay_messages import Replay, ReplayState
from bridges.protocol.report_reader import ReportReader, without_actions

MAX_REASON = 123
"""Bytes of UTF-8 that a websocket's close frame has room for."""
FromPerson = Instruct | Control | Correct | Say
Received = Hello | EncodedFrame | FromPerson | Event | Query | Subscribe | Replay | ReplayState


class ConnectionState(Enum):
    """Where a connection stands."""

    EXPECT_HELLO = auto()
    PLAYING = auto()
    RECORDING = auto()
    WATCHING = auto()
    QUERYING = auto()
    CLOSED = auto()


_STATES = {
    "play": ConnectionState.PLAYING,
    "record": ConnectionState.RECORDING,
    "watch": ConnectionState.WATCHING,
    "query": ConnectionState.QUERYING,
}
_BY_ALL = (Instruct, Control, Correct, Say, Query, Clock, Bye)
_ALLOWED: dict[ConnectionState, tuple[type, ...]] = {
    ConnectionState.PLAYING: (Event, Ack, ReplayState, *_BY_ALL),
    ConnectionState.RECORDING: (Event, Ack, Instruct, Correct, Say, Clock, Bye),
    ConnectionState.WATCHING: (Subscribe, Replay, *_BY_ALL),
    ConnectionState.QUERYING: (Subscribe, *_BY_ALL),
}


class Connection:
    """One peer; `now` is the time at which it connected."""

    def __init__(self, limits: ConnectionLimits, *, token: str | None, now: float) -> None:
        self.state = ConnectionState.EXPECT_HELLO
        self.hello: Hello | None = None
        self.close_code: int | None = None
        self.close_reason = ""
        self._limits, self._token, self._opened = limits, token, now
        self._outgoing: list[str | bytes] = []
        self._welcomed = False
        self._mailbox = Mailbox(lockstep=False, capacity=0)
        self._unknown_fields: list[str] = []
        self._lane: RecordLane | None = None
        """Of a recording."""
        self._in_flight = InFlight(limits)
        self._pictures = Lane("pictures", limits.pictures, now)
        self._texts = Lane("messages", limits.texts, now)
        self._mistakes = Lane("mistaken messages", limits.mistakes, now)
        self._reports: ReportReader | None = None
        """Of a game."""
        self._cameras: CameraPictures | None = None
        self._control_frames = Lane("pings", limits.control_frames, now)
        self.liveness = Liveness(limits, now)

    @property
    def is_closed(self) -> bool:
        return self.state is ConnectionState.CLOSED

    @property
    def in_flight(self) -> int:
        """Number of lockstep observations without an answer."""
        return self._in_flight.observations

    # --- from the peer ---

    def receive(self, data: str | bytes, now: float) -> list[Received]:
        """What a message asks for: nothing where it was answered, ignored or ended the connection."""
        if self.is_closed:
            return []
        if reason := self.liveness.received(now):
            return self._close_with(4504, reason)
        if self.state is ConnectionState.EXPECT_HELLO:
            return self._receive_hello(data)
        if isinstance(data, bytes):
            return self._receive_picture(data, now)
        return self._receive_text(data, now)

    def receive_control_frame(self, size: int, now: float) -> None:
        """Count a ping or pong that the websocket library answered."""
        if not self.is_closed:
            self._within(self._control_frames, size, now)

    def _receive_hello(self, data: str | bytes) -> list[Received]:
        try:
            hello, self._unknown_fields = read_hello(data, self._token)
        except HelloError as error:
            if error.error is not None:
                self._queue(error.error)
            return self._close_with(error.code, str(error))
        self.hello, self.state = hello, _STATES[hello.role]
        if hello.spec is not None:
            self._reports = ReportReader(self._limits, hello.spec, hello.agents, self._opened)
            self._cameras = CameraPictures(hello, self._limits.max_in_flight_bytes)
        return [hello]

    def _receive_picture(self, data: bytes, now: float) -> list[Received]:
        if self.state not in (ConnectionState.PLAYING, ConnectionState.RECORDING):
            return self._close_with(4400, "only a game sends pictures")
        assert self._cameras is not None
        if not self._is_paced and not self._within(self._pictures, len(data), now):
            return []
        try:
            encoded, wasted = self._cameras.receive(data)
        except FrameError as error:
            self._refuse_picture("bad_picture", str(error), error.code, frames.number_of(data))
            return []
        if self._is_paced and wasted and not self._within(self._pictures, len(data), now):
            return []
        if encoded is None or (self._is_paced and not self._admits(encoded, len(data))):
            return []
        encoded = self._with_report(encoded, now)
        return [] if self.is_closed else [encoded]

    @property
    def _is_recording(self) -> bool:
        return self.state is ConnectionState.RECORDING

    @property
    def _is_paced(self) -> bool:
        """Whether answers or credits say when pictures may come, so that no budget does."""
        assert self.hello is not None
        return self._is_recording or self.hello.mode == "lockstep"

    def _admits(self, encoded: EncodedFrame, size: int) -> bool:
        """Whether a picture counts: it is within what was granted, and in a recording the next; ends it otherwise."""
        if self._lane is None:
            return self._takes_off(encoded)
        try:
            return self._lane.receive(encoded.number, size)
        except RecordLaneError as error:
            self._refuse_picture(error.code, str(error), error.close_code, encoded.number)
            return False

    def _refuse_picture(
        self, code: str, reason: str, close_code: int, number: int | None, agent: int = 0
    ) -> None:
        """Name what is wrong with a picture, and end the connection."""
        self._queue(ErrorMessage(code=code, message=reason, observation=number, agent=agent))
        self.close(close_code, reason)

    def _with_report(self, encoded: EncodedFrame, now: float) -> EncodedFrame:
        """Read a picture's JSON, as far as the budgets go."""
        assert self._reports is not None
        if not encoded.meta or not self._may_read(len(encoded.meta), now, paced=self._is_paced):
            return encoded
        encoded, errors = self._reports.read(encoded, now)
        self._queue_all(errors)
        return encoded

    def _may_read(self, size: int, now: float, *, paced: bool) -> bool:
        """Whether a report is read, as far as the budgets go; a recording, which may miss nothing, ends beyond them."""
        assert self._reports is not None
        if self._is_recording and not self._reports.is_reading(now):
            self.close(4429, "too many mistakes in what is to be recorded")
        return not self.is_closed and (paced or self._within(self._reports.lane, size, now))

    def _takes_off(self, encoded: EncodedFrame) -> bool:
        """Count a lockstep observation as in flight; too many end the connection."""
        number, agent, size = encoded.number, encoded.agent, encoded.size + len(encoded.meta)
        if reason := self._in_flight.add_observation(number, size, agent):
            self._refuse_picture("too_many", reason, 4429, number, agent)
        return not reason

    def _receive_text(self, data: str, now: float) -> list[Received]:
        if not self._within(self._texts, len(data), now):
            return []
        query_id: int | None = None
        try:
            value = messages.read_object(data)
            query_id = query_id_of(value)
            is_new = self._mailbox.receive(value)
            self._queue_all(self._mailbox.take_acks())
            if not is_new:
                return []
            message = messages.client_message(value)
        except MessageError as error:
            return self._mistake("bad_message", str(error), now, path=error.path, id=query_id)
        if message is None:
            reason = f"this server knows no message of type {value['type'][:50]!r}"
            return self._mistake("unknown_type", reason, now, path="type", id=query_id)
        return self._receive_message(message, now)

    def _receive_message(self, message: messages.FromClient, now: float) -> list[Received]:
        if not isinstance(message, _ALLOWED[self.state]):
            reason = f"no {message.type} comes from a peer that is {self.state.name.lower()}"
            if isinstance(message, Hello):
                reason = "a hello comes once"
            return self._mistake("not_allowed", reason, now, path="type")
        if isinstance(message, Bye):
            return self._close_with(1000, "bye")
        if isinstance(message, Ack):
            self._mailbox.settle(message.received)
            return []
        assert self.hello is not None
        agent = getattr(message, "agent", 0)
        if agent >= self.hello.agents:
            reason = f"{message.type}.agent: the hello announced {self.hello.agents}"
            query_id = message.id if isinstance(message, Query) else None
            return self._mistake("bad_message", reason, now, path="agent", id=query_id)
        if isinstance(message, Query):
            if reason := self._in_flight.add_query(message.id):
                self._queue(ErrorMessage(code="too_many", message=reason, id=message.id))
                return []
        elif isinstance(message, Clock):
            self._queue(Clock(t0=message.t0, t1=1000 * now, t2=1000 * now))
            return []
        elif isinstance(message, Event) and (message.executed or message.input):
            return self._receive_last_step(message, now)
        return [message]

    def _receive_last_step(self, event: Event, now: float) -> list[Received]:
        """An event with actions; those that are wrong, or beyond the budgets, are left out."""
        assert self._reports is not None
        if not self._may_read(0, now, paced=self._is_recording):
            return [] if self.is_closed else [without_actions(event)]
        event, errors = self._reports.read_event(event, now)
        self._queue_all(errors)
        return [event]

    # --- to the peer ---

    def accept(
        self,
        *,
        session: str,
        policy: str,
        instruction: str,
        warnings: Iterable[str],
        owner: Owner = "agent",
        resume: Resumption | None = None,
    ) -> None:
        """Answer the hello with a welcome; to a resumed session, what it did not acknowledge follows."""
        if self._welcomed or self.hello is None:
            raise RuntimeError("a welcome answers a hello, once")
        self._welcomed = True
        resume = resume or Resumption("", self._mailbox)
        if resume.resumed:
            resume.mailbox.settle(self.hello.received)
        if resume.lane is not None:
            resume.lane.resume()
        ignored = (f"hello.{name[:50]} is not known here: ignored" for name in self._unknown_fields)
        self._queue(
            Welcome(
                session=session,
                **resume.fields(),
                policy=policy,
                instruction=instruction,
                warnings=(*warnings, *ignored),
                max_message=MAX_MESSAGE,
                max_pixels=frames.MAX_PIXELS,
                max_in_flight=self._limits.max_in_flight,
                owner=owner,
                agents=self.hello.agents,
            )
        )
        self._mailbox, self._lane = resume.mailbox, resume.lane
        self._outgoing += self._mailbox.waiting()

    def refuse(self, error: ErrorMessage, code: int = 4400) -> None:
        """Send an error and close."""
        self.send(error)
        self.close(code, error.message)

    def send(self, message: Any) -> None:
        """Queue a message model, or text or bytes as they are; an answer or error settles what it names.

        After the end, what must arrive waits for the connection that resumes the session.
        """
        if self.is_closed:
            if not isinstance(message, str | bytes):
                self._mailbox.encode(message)
            return
        match message:
            case Act(observation=number, agent=agent):
                self._in_flight.settle(number, agent=agent)
            case Answer(id=query_id):
                self._in_flight.settle(query_id=query_id)
            case ErrorMessage(observation=number, id=query_id, agent=agent):
                self._in_flight.settle(number, query_id, agent)
        self._queue(message)

    def _queue(self, message: Any) -> None:
        is_encoded = isinstance(message, str | bytes)
        self._outgoing.append(message if is_encoded else self._mailbox.encode(message))

    def _queue_all(self, messages: Iterable[ErrorMessage | Ack]) -> None:
        for message in messages:
            self._queue(message)

    def data_to_send(self) -> list[str | bytes]:
        """What to write since the last call, in order."""
        data, self._outgoing = self._outgoing, []
        return data

    def close(self, code: int, reason: str) -> None:
        """End the connection; the first reason stays. It is cut to what a close frame has room for."""
        if self.is_closed:
            return
        self.state, self.close_code = ConnectionState.CLOSED, code
        self.close_reason = reason.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore")
        self._in_flight.clear()

    # --- time ---

    def tick(self, now: float, unsent: int = 0) -> None:
        """Keep the deadlines; `unsent` are the bytes that the peer has not taken yet."""
        timeout_s = self._limits.hello_timeout_s
        if self.state is ConnectionState.EXPECT_HELLO and now - self._opened > timeout_s:
            self.close(4408, f"no hello within {timeout_s:g} s")
        elif reason := self.liveness.tick(now, unsent):
            self.close(4504, reason)

    def ping_due(self, now: float) -> bool:
        """Whether to ping the peer now; then `liveness.pinged` and `liveness.ponged` follow."""
        return self._welcomed and not self.is_closed and self.liveness.ping_due(now)

    # --- budgets ---

    def _within(self, lane: Lane, size: int, now: float) -> bool:
        """Count a message; the first one beyond the budget is answered, the rest ignored, and many end it.

        The texts of a recording, of which none may be missing, end it at once.
        """
        left = lane.spend(size, now)
        if left >= 0:
            return True
        reason = f"at most {lane}"
        if left <= -1 or (self._is_recording and lane is self._texts):
            self.close(4429, reason)
        elif not lane.warned:
            lane.warned = True
            self._queue(ErrorMessage(code="too_many", message=reason, hint="the rest is ignored"))
        return False

    def _mistake(self, code: str, reason: str, now: float, **fields: Any) -> list[Received]:
        """Answer an unusable message, as far as the budget goes."""
        if self._within(self._mistakes, 0, now):
            self._queue(ErrorMessage(code=code, message=reason, **fields))
        return []

    def _close_with(self, code: int, reason: str) -> list[Received]:
        self.close(code, reason)
        return []

"""Client session: the game's side of a session as a state machine, over all its connections, without sockets.

Texts are numbered and wait until the server acknowledges them; in lockstep, pictures wait until they are answered, in
a recording until they are recorded.
What waits is sent again over the next connection, in its order: to a session that was resumed only what the server does
not have, to a new one (the server was restarted) all of it. In realtime nothing of the past is worth sending, and
answers to pictures of an earlier connection are ignored. Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridges.errors import AnswerError
from bridges.protocol import messages
from bridges.protocol.client_agent import ClientAgent
from bridges.protocol.client_recording import ClientRecording
from bridges.protocol.clock import Exchange
from bridges.protocol.fields import Message
from bridges.protocol.frames import with_number as with_picture_number
from bridges.protocol.mailbox import number_of, with_number
from bridges.protocol.messages import (
    Ack,
    Act,
    Answer,
    Clock,
    Control,
    ErrorMessage,
    Event,
    FromServer,
    Hello,
    Instruct,
    Query,
    Welcome,
)
from bridges.protocol.record_messages import Credit, RecordState
from games import GameSpec

MAX_WAITING = 4096
"""Messages that wait for the server; further texts are refused."""
ACTS_PER_ACK = 8
"""In lockstep answers are acknowledged in groups, texts at once."""
REMARKS = {"bad_report"}
"""Errors that name a picture without being its answer."""


@dataclass
class _Waiting:
    """A text that waits for its acknowledgement, or a picture that waits for its answer."""

    data: str | bytes
    number: int
    """Of a text its `seq`, of a picture its observation number."""
    agent: int = 0
    """Of a picture."""

    def to_send(self) -> str | bytes:
        return with_number(self.data, self.number) if isinstance(self.data, str) else self.data


class ClientSession:
    """What a game has sent and got; `hello` says what it is."""

    def __init__(self, hello: Hello) -> None:
        self.agents: Sequence[ClientAgent] = [
            ClientAgent(hello.instruction, hello.owner) for _ in range(hello.agents)
        ]
        self.welcome: Welcome | None = None
        self.is_connected = False
        self._hello = hello
        self.recording = ClientRecording() if hello.role == "record" else None
        self._keeps_pictures = self.recording is not None or hello.mode == "lockstep"
        self._outgoing: list[str | bytes] = []
        self._waiting: list[_Waiting] = []
        self._end: _Waiting | None = None
        """Of a recording's newest episode."""
        self._sent = self._received = self._acknowledged = 0
        self._queries: dict[int, str] = {}
        """Queries without an answer."""
        self._query = 0
        self._answers: dict[int, str | AnswerError] = {}
        self._clock_t0: float | None = None
        """Of the question for the server's time that has no answer yet."""
        self._exchange: Exchange | AnswerError | None = None

    @property
    def spec(self) -> GameSpec:
        """What the game is."""
        assert self._hello.spec is not None
        return self._hello.spec

    @property
    def cameras(self) -> int:
        """How many there are."""
        return self._hello.cameras

    # --- connections ---

    def hello(self) -> Hello:
        """What to say over a new connection."""
        key = self.welcome.resume if self.welcome else None
        return self._hello.model_copy(
            update={
                "resumable": True,
                "resume": key or None,
                "received": self._received if key else 0,
                "instruction": self.agents[0].own_instruction,
                "owner": self.agents[0].owner,
            }
        )

    def connected(self, welcome: Welcome) -> None:
        """A connection is open; what waits is sent again."""
        self.welcome, self.is_connected = welcome, True
        if welcome.resumed:
            self._settle_texts(welcome.received)
        else:
            self._begin_anew()
        if welcome.credit is not None and self.recording is not None:
            self._apply_to_recording(self.recording, welcome.credit)
        newest = dict(enumerate(welcome.newest_observations if welcome.resumed else ()))
        for waiting in self._waiting:
            has = newest.get(waiting.agent)
            if isinstance(waiting.data, str) or has is None or waiting.number > has:
                self._outgoing.append(waiting.to_send())

    def _begin_anew(self) -> None:
        """Another session counts from 1, and knows none of the queries, nor what a console asked for."""
        for agent in self.agents:
            agent.console_instruction = None
        if self.recording is not None:
            self._renumber_pictures(self.recording)
        self._received = self._acknowledged = self._sent = 0
        different = [_Waiting(message.model_dump_json(), 0) for message in self._unlike_the_first()]
        self._waiting = [*different, *self._waiting]
        texts = [waiting for waiting in self._waiting if isinstance(waiting.data, str)]
        for waiting in texts:
            self._sent += 1
            waiting.number = self._sent
        unsent = {waiting.data for waiting in texts}
        for query in self._queries.values():
            if query not in unsent:
                self._sent += 1
                self._waiting.append(_Waiting(query, self._sent))

    def _renumber_pictures(self, recording: ClientRecording) -> None:
        """Another recording begins with the pictures that are not recorded."""
        number = 0
        for waiting in self._waiting:
            if isinstance(waiting.data, bytes):
                number += 1
                waiting.number, waiting.data = number, with_picture_number(waiting.data, number)
        self.agents[0].number = number
        sends_end = any(waiting is self._end for waiting in self._waiting)
        recording.begin_anew(self.waiting_pictures, sends_end=sends_end)

    def _unlike_the_first(self) -> Iterator[Message]:
        """What agents from 1 on are told that is not in the hello, which says how agent 0 begins."""
        first, *others = self.agents
        for number, agent in enumerate(others, 1):
            if agent.own_instruction != first.own_instruction:
                yield Instruct(text=agent.own_instruction, agent=number)
            if agent.owner != first.owner:
                yield Control(owner=agent.owner, agent=number)

    def disconnected(self) -> None:
        """The connection is lost: no action is valid any more."""
        self.is_connected = False
        self._outgoing.clear()
        for agent in self.agents:
            agent.release()
            if not self._keeps_pictures:
                agent.lose_past()
        if self._clock_t0 is not None:
            self._clock_t0 = None
            self._exchange = AnswerError("the connection was lost", "connection_lost")

    def data_to_send(self) -> list[str | bytes]:
        """What to write over the connection, in order."""
        data, self._outgoing = self._outgoing, []
        return data

    @property
    def has_data_to_send(self) -> bool:
        return bool(self._outgoing)

    @property
    def waiting_pictures(self) -> list[bytes]:
        """Pictures that are not answered or recorded."""
        return [waiting.data for waiting in self._waiting if isinstance(waiting.data, bytes)]

    @property
    def waiting_texts(self) -> int:
        """Messages that the server has not acknowledged."""
        return sum(isinstance(waiting.data, str) for waiting in self._waiting)

    # --- from the game ---

    def observe(
        self,
        data: bytes,
        now: float,
        *,
        agent: int = 0,
        cameras: Sequence[bytes] = (),
        awaited: bool = False,
    ) -> None:
        """Send an agent's observation of number `number + 1`; in realtime it is dropped where there is no connection.

        `cameras` are its pictures beside camera 0's, which comes last.
        """
        state, pictures = self.agents[agent], (*cameras, data)
        if self.recording is None:
            state.observe(now, awaited=awaited)
        else:
            state.number += 1
            self.recording.add(data)
        if self._keeps_pictures:
            self._waiting += [_Waiting(picture, state.number, agent) for picture in pictures]
        elif not self.is_connected:
            state.lose_past()
            return
        if self.is_connected:
            self._outgoing += pictures

    def send(self, message: Message) -> bool:
        """Send a text, now or over the next connection; False where too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        if isinstance(message, Instruct):
            self.agents[message.agent].own_instruction = message.text
        elif isinstance(message, Control):
            self.agents[message.agent].owner = message.owner
        elif isinstance(message, Event) and message.is_end:
            self.agents[message.agent].end_episode()
        self._sent += 1
        waiting = _Waiting(message.model_dump_json(exclude_none=True), self._sent)
        self._waiting.append(waiting)
        if self.is_connected:
            self._outgoing.append(waiting.to_send())
        if self.recording is not None and isinstance(message, Event) and message.is_end:
            self._end = waiting
            self.recording.end()
        if isinstance(message, Query):
            assert isinstance(waiting.data, str)
            self._queries[message.id] = waiting.data
        return True

    def next_query(self) -> int:
        """A number for a query."""
        self._query += 1
        return self._query

    def take_answer(self, query: int) -> str | AnswerError | None:
        """The answer to a query, once; None where it has not come."""
        return self._answers.pop(query, None)

    def forget_query(self, query: int) -> None:
        """Nobody waits for this answer any more."""
        self._queries.pop(query, None)

    def ask_clock(self, now: float) -> None:
        """Ask for the server's time; without a connection there is none."""
        self._clock_t0, self._exchange = 1000 * now, None
        if self.is_connected:
            self._outgoing.append(Clock(t0=self._clock_t0).model_dump_json(exclude_none=True))
        else:
            self._clock_t0 = None
            self._exchange = AnswerError("there is no connection", "connection_lost")

    def take_exchange(self) -> Exchange | AnswerError | None:
        """The answer to `ask_clock`, once; None where it has not come."""
        exchange, self._exchange = self._exchange, None
        return exchange

    # --- from the server ---

    def receive(self, text: str, now: float) -> FromServer | None:
        """Apply a message and return it; None for one that came before or is unknown. Raises `MessageError`."""
        value = messages.read_object(text)
        message = messages.server_message(value)
        seq = number_of(value)
        if seq is not None:
            if seq <= self._received:
                return None
            self._received = seq
            if not isinstance(message, Act) or seq - self._acknowledged >= ACTS_PER_ACK:
                self._acknowledged = seq
                self._outgoing.append(Ack(received=seq).model_dump_json())
        if (number := getattr(message, "agent", 0)) >= len(self.agents):
            return message
        agent = self.agents[number]
        match message:
            case Act():
                self._settle_picture(number, message.observation)
                agent.answer(message, now)
            case Instruct():
                agent.console_instruction = None if message.release else message.text
            case Control():
                agent.owner = message.owner
            case Clock():
                self._answer_clock(message, now)
            case Answer():
                self._answer_query(message.id, message.text)
            case Ack():
                self._settle_texts(message.received)
            case ErrorMessage():
                self._apply_error(message)
            case Credit() | RecordState() if self.recording is not None:
                self._apply_to_recording(self.recording, message)
        return message

    def _apply_error(self, error: ErrorMessage) -> None:
        problem = AnswerError(with_hint(error), error.code)
        if error.observation is not None and error.code not in REMARKS and self.recording is None:
            self._settle_picture(error.agent, error.observation)
            self.agents[error.agent].fail(error.observation, problem)
        if error.id is not None:
            self._answer_query(error.id, problem)

    def _answer_query(self, query: int, answer: str | AnswerError) -> None:
        if self._queries.pop(query, None) is not None:
            self._answers[query] = answer

    def _answer_clock(self, clock: Clock, now: float) -> None:
        if clock.t0 == self._clock_t0 and clock.t1 is not None and clock.t2 is not None:
            self._clock_t0 = None
            self._exchange = Exchange(clock.t0, clock.t1, clock.t2, 1000 * now)

    def _settle_texts(self, seq: int) -> None:
        self._waiting = [
            waiting
            for waiting in self._waiting
            if isinstance(waiting.data, bytes) or waiting.number > seq
        ]

    def _apply_to_recording(
        self, recording: ClientRecording, message: Credit | RecordState
    ) -> None:
        """What the recorder has need not be sent again."""
        if isinstance(message, RecordState):
            recording.apply_state(message)
            return
        recording.credit = message
        self._waiting = [
            waiting
            for waiting in self._waiting
            if isinstance(waiting.data, str) or waiting.number > message.recorded
        ]

    def _settle_picture(self, agent: int, number: int) -> None:
        self._waiting = [
            waiting
            for waiting in self._waiting
            if isinstance(waiting.data, str) or (waiting.agent, waiting.number) != (agent, number)
        ]


def with_hint(error: ErrorMessage) -> str:
    """A server's error in one line, with its way out."""
    return f"{error.message}; {error.hint}" if error.hint else error.message

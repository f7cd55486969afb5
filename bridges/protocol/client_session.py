"""Client session: the game's side of a session as a state machine, over all its connections, without sockets.

Texts are numbered and wait until the server acknowledges them; in lockstep, pictures wait until they are answered, in
a recording until they are recorded.
What waits is sent again over the next connection, in its order: to a session that was resumed only what the server does
not have, to a new one (the server was restarted) all of it. In realtime nothing of the past is worth sending, and
answers to pictures of an earlier connection are ignored. Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridges.errors import AnswerError
from bridges.protocol import messages
from bridges.protocol.client_recording import ClientRecording
from bridges.protocol.fields import Message
from bridges.protocol.frames import with_number as with_picture_number
from bridges.protocol.mailbox import number_of, with_number
from bridges.protocol.messages import (
    Ack,
    Act,
    Answer,
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

    def to_send(self) -> str | bytes:
        return with_number(self.data, self.number) if isinstance(self.data, str) else self.data


class ClientSession:
    """What a game has sent and got; `hello` says what it is."""

    def __init__(self, hello: Hello) -> None:
        self.own_instruction, self.owner = hello.instruction, hello.owner
        self.console_instruction: str | None = None
        """What a console asks for instead, until it is released."""
        self.welcome: Welcome | None = None
        self.is_connected = False
        self.number = 0
        """Number of the newest observation."""
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
        self._awaited: dict[int, Act | AnswerError | None] = {}
        """Observations for whose answer somebody waits, and their answers."""
        self._sent_at: dict[int, float] = {}
        self._act: Act | None = None
        self._act_received_at = self._act_frame_sent_at = 0.0
        self._outdated = 0
        """Number of the newest observation whose answer is worth nothing any more."""

    @property
    def spec(self) -> GameSpec:
        """What the game is."""
        assert self._hello.spec is not None
        return self._hello.spec

    @property
    def instruction(self) -> str:
        """What counts now: a console's instruction, else the game's."""
        console = self.console_instruction
        return self.own_instruction if console is None else console

    # --- connections ---

    def hello(self) -> Hello:
        """What to say over a new connection."""
        key = self.welcome.resume if self.welcome else None
        return self._hello.model_copy(
            update={
                "resumable": True,
                "resume": key or None,
                "received": self._received if key else 0,
                "instruction": self.own_instruction,
                "owner": self.owner,
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
            self._apply_credit(welcome.credit)
        has = welcome.observation if welcome.resumed else None
        for waiting in self._waiting:
            if isinstance(waiting.data, str) or has is None or waiting.number > has:
                self._outgoing.append(waiting.to_send())

    def _begin_anew(self) -> None:
        """Another session counts from 1, and knows none of the queries, nor what a console asked for."""
        self.console_instruction = None
        if self.recording is not None:
            self._renumber_pictures(self.recording)
        self._received = self._acknowledged = self._sent = 0
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
        self.number = 0
        for waiting in self._waiting:
            if isinstance(waiting.data, bytes):
                self.number += 1
                waiting.number = self.number
                waiting.data = with_picture_number(waiting.data, self.number)
        sends_end = any(waiting is self._end for waiting in self._waiting)
        recording.begin_anew(self.waiting_pictures, sends_end=sends_end)

    def disconnected(self) -> None:
        """The connection is lost: no action is valid any more."""
        self.is_connected, self._act = False, None
        self._outgoing.clear()
        if not self._keeps_pictures:
            self._lose_past()

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

    def observe(self, data: bytes, now: float, *, awaited: bool = False) -> None:
        """Send the observation of number `number + 1`; in realtime it is dropped where there is no connection."""
        self.number += 1
        if awaited:
            self._awaited[self.number] = None
        if self._keeps_pictures:
            self._waiting.append(_Waiting(data, self.number))
        elif not self.is_connected:
            self._lose_past()
            return
        if self.recording is None:
            self._sent_at[self.number] = now
        else:
            self.recording.add(data)
        if self.is_connected:
            self._outgoing.append(data)

    def _lose_past(self) -> None:
        """In realtime no observation until now is answered any more."""
        self._outdated = self.number
        self._sent_at.clear()
        lost = AnswerError("the connection was lost before the answer came", "connection_lost")
        self._awaited = {number: answer or lost for number, answer in self._awaited.items()}

    def send(self, message: Message) -> bool:
        """Send a text, now or over the next connection; False where too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        if isinstance(message, Instruct):
            self.own_instruction = message.text
        elif isinstance(message, Control):
            self.owner = message.owner
        elif isinstance(message, Event) and message.is_end:
            self._act, self._outdated = None, self.number
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

    def take_act(self, number: int) -> Act | AnswerError | None:
        """The answer to an awaited observation, once; None where it has not come."""
        answer = self._awaited.get(number)
        if answer is not None:
            del self._awaited[number]
        return answer

    def forget_act(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._awaited.pop(number, None)

    def action_due(self, now: float, step: int | None = None) -> Act | None:
        """The action due now; None where there is none, its time has passed or the connection is lost."""
        act = self._act
        if act is None or 1000 * (now - self._act_received_at) > act.valid_ms:
            return None
        if step is not None:
            return act.at_step(step - act.observation)
        age_ms = 1000 * (now - self._act_frame_sent_at)
        return act.at_step(int(age_ms / act.step_ms) if act.step_ms else 0)

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
        match message:
            case Act():
                self._apply_act(message, now)
            case Instruct():
                self.console_instruction = None if message.release else message.text
            case Control():
                self.owner = message.owner
            case Answer():
                self._answer_query(message.id, message.text)
            case Ack():
                self._settle_texts(message.received)
            case ErrorMessage():
                self._apply_error(message)
            case Credit() if self.recording is not None:
                self._apply_credit(message)
            case RecordState() if self.recording is not None:
                self.recording.apply_state(message)
        return message

    def _apply_act(self, act: Act, now: float) -> None:
        self._settle_picture(act.observation)
        if act.observation in self._awaited:
            self._awaited[act.observation] = act
        if act.observation <= self._outdated:
            return
        self._act, self._act_received_at = act, now
        self._act_frame_sent_at = self._sent_at.get(act.observation, now)
        self._sent_at = {n: at for n, at in self._sent_at.items() if n > act.observation}

    def _apply_error(self, error: ErrorMessage) -> None:
        problem = AnswerError(with_hint(error), error.code)
        if error.observation is not None and error.code not in REMARKS and self.recording is None:
            self._settle_picture(error.observation)
            if error.observation in self._awaited:
                self._awaited[error.observation] = problem
        if error.id is not None:
            self._answer_query(error.id, problem)

    def _answer_query(self, query: int, answer: str | AnswerError) -> None:
        if self._queries.pop(query, None) is not None:
            self._answers[query] = answer

    def _settle_texts(self, seq: int) -> None:
        self._waiting = [
            waiting
            for waiting in self._waiting
            if isinstance(waiting.data, bytes) or waiting.number > seq
        ]

    def _apply_credit(self, credit: Credit) -> None:
        assert self.recording is not None
        self.recording.credit = credit
        self._waiting = [
            waiting
            for waiting in self._waiting
            if isinstance(waiting.data, str) or waiting.number > credit.recorded
        ]

    def _settle_picture(self, number: int) -> None:
        self._waiting = [
            waiting
            for waiting in self._waiting
            if isinstance(waiting.data, str) or waiting.number != number
        ]


def with_hint(error: ErrorMessage) -> str:
    """A server's error in one line, with its way out."""
    return f"{error.message}; {error.hint}" if error.hint else error.message

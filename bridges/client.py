"""Client: attach a game to a server, or ask, instruct and watch a running one; blocking, without a model."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from bridges.connection import (
    REPLY_TIMEOUT_S,
    build,
    closed_error,
    error_of,
    open_connection,
    receive,
)
from bridges.errors import AnswerError, BridgeError
from bridges.protocol import frames
from bridges.protocol.backoff import Backoff
from bridges.protocol.client_session import ClientSession, with_hint
from bridges.protocol.fields import Message, Owner
from bridges.protocol.messages import (
    Act,
    Answer,
    Control,
    Correct,
    ErrorMessage,
    Event,
    FromServer,
    Hello,
    Instruct,
    Query,
    Say,
    State,
    Subscribe,
    Welcome,
)
from bridges.protocol.step_report import StepReport, right_fields
from bridges.reconnect import ConnectionState, ReconnectingConnection
from games import Frame, GameSpec

MAX_RAW_BYTES = 64 << 10
"""Frames up to this size travel raw, larger ones as JPEG."""
DEFAULT_BACKOFF = Backoff()
_T = TypeVar("_T")
WatchMessage = Act | Event | Instruct | State


class BridgeClient:
    """One game attached to a server; a thread receives, so an instruction typed elsewhere arrives at once.

    Lockstep: `act(frame)` waits for the answer. Realtime: `send(frame)`, then `current_action()` whenever a step is
    due. A lost connection is opened again and the session resumed: texts wait for it, `act` and `ask` wait longer,
    frames of realtime play are dropped. A method raises
    `AnswerError` where only its own picture or query has no answer, and `BridgeError` once the session is over.
    """

    def __init__(self, connection: ReconnectingConnection, clock: Callable[[], float]) -> None:
        self._connection, self._session = connection, connection.session
        self._clock = clock

    @property
    def welcome(self) -> Welcome:
        """The server's newest welcome."""
        assert self._session.welcome is not None
        return self._session.welcome

    @property
    def instruction(self) -> str:
        """What counts now: a console's instruction, else this game's."""
        return self._session.instruction

    @property
    def console_instruction(self) -> str | None:
        """What a console asks for, until it is released."""
        return self._session.console_instruction

    @property
    def owner(self) -> Owner:
        """Whose actions count, also where a console decided it."""
        return self._session.owner

    @property
    def is_connected(self) -> bool:
        return self._session.is_connected

    def send(self, frame: Frame, **report: Any) -> int:
        """Send an observation (H, W, 3) uint8 RGB; returns its number. Raises `BridgeError` for a frame too large.

        `report` tells of the step before it: `executed`, `input`, `reward`, `score`, `state` (see `StepReport`).
        """
        return self._observe(frame, report, awaited=False)

    def act(self, frame: Frame, timeout_s: float = REPLY_TIMEOUT_S, **report: Any) -> Act:
        """Send an observation and wait for its whole answer.

        Raises `AnswerError` where this picture has none: play on with the null action. The time of a lost connection
        does not count.
        """
        number = self._observe(frame, report, awaited=True)
        try:
            return self._wait_for(lambda: self._session.take_act(number), timeout_s, "action")
        finally:
            self._session.forget_act(number)

    def current_action(self, step: int | None = None) -> Act | None:
        """The action due now by the newest answer; None once its time has passed or the connection is lost: then
        release all keys (the failsafe).

        Of planned actions it is the one of this step, and the last is held. Steps are counted by the clock from when
        the picture was sent; a game that sends one at every step can give the number of the picture of this step.
        """
        with self._connection.updated:
            if self._connection.error:
                raise self._connection.error
            return self._session.action_due(self._clock(), step)

    def instruct(self, text: str) -> None:
        """Change the game's instruction; one from a console goes before it until it is released there."""
        self._send_text(build(Instruct, text=text))

    def event(self, **values: Any) -> None:
        """Report reward, terminated, truncated, success (see `messages.Event`).

        After the end of an episode, `current_action` ignores answers to its observations.
        """
        self._send_text(build(Event, **values))

    def control(self, owner: Owner) -> None:
        """Say whose actions count: "human", "agent" or "shared"."""
        self._send_text(build(Control, owner=owner))

    def correct(self, text: str) -> None:
        """A person's words about what the agent should have done."""
        self._send_text(build(Correct, text=text))

    def say(self, text: str) -> None:
        """A person's words about what happens."""
        self._send_text(build(Say, text=text))

    def ask(self, kind: str, timeout_s: float = REPLY_TIMEOUT_S) -> str:
        """Ask "next_action", "why" or "caption" about the newest observation; raises `AnswerError`."""
        with self._connection.updated:
            number = self._session.next_query()
        self._send_text(build(Query, id=number, kind=kind))
        try:
            return self._wait_for(lambda: self._session.take_answer(number), timeout_s, "answer")
        finally:
            self._session.forget_query(number)

    def close(self) -> None:
        """Close the connection and end the receiving thread."""
        self._connection.close()

    def _observe(self, frame: Frame, report: dict[str, Any], *, awaited: bool) -> int:
        meta = self._step_report(report)

        def observe() -> int:
            number = self._session.number + 1
            data = frames.pack(frame, number, time.monotonic_ns(), _codec(frame), meta=meta)
            self._session.observe(data, self._clock(), awaited=awaited)
            return number

        try:
            return self._connection.transact(observe)
        except frames.FrameError as error:
            raise BridgeError(str(error)) from None

    def _step_report(self, values: dict[str, Any]) -> bytes:
        """The JSON of a picture; raises `BridgeError` for a field that is unknown or wrong."""
        if not values:
            return b""
        if unknown := sorted(values.keys() - StepReport.model_fields.keys()):
            raise BridgeError(
                f"{unknown[0]}: no such field; there are {', '.join(StepReport.model_fields)}"
            )
        report, problems = right_fields(values, self._session.spec)
        if problems:
            raise BridgeError(str(problems[0]))
        return report.model_dump_json(exclude_none=True).encode()

    def _send_text(self, message: Message) -> None:
        if not self._connection.transact(lambda: self._session.send(message)):
            raise BridgeError("too many messages wait for the server: send less, or close")

    def _wait_for(
        self, take: Callable[[], _T | AnswerError | None], timeout_s: float, what: str
    ) -> _T:
        """What `take` returns once it is something; while there is no connection the time does not run."""
        deadline = time.monotonic() + timeout_s
        with self._connection.updated:
            while (result := take()) is None:
                if self._connection.error:
                    raise self._connection.error
                remaining_s = deadline - time.monotonic()
                if not self._session.is_connected:
                    self._connection.updated.wait(1)
                    deadline = time.monotonic() + timeout_s
                elif not self._connection.updated.wait(max(0.0, remaining_s)):
                    raise BridgeError(f"no {what} within {timeout_s:g} s")
        if isinstance(result, AnswerError):
            raise result
        return result

    def __enter__(self) -> BridgeClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def connect(
    url: str,
    spec: GameSpec,
    *,
    instruction: str = "",
    mode: str = "lockstep",
    token: str | None = None,
    tasks: tuple[str, ...] = (),
    seed: int | None = None,
    owner: str = "agent",
    on_state: Callable[[ConnectionState, str], None] = lambda state, detail: None,
    on_error: Callable[[AnswerError], None] = lambda error: None,
    on_message: Callable[[FromServer], None] = lambda message: None,
    backoff: Backoff = DEFAULT_BACKOFF,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] | None = None,
    jitter: Callable[[], float] = random.random,
) -> BridgeClient:
    """Attach a game; raises `BridgeError` with one line where the server is away or refuses.

    `url` is `ws://host:port/v1`, or any form that `protocol.address` accepts. `mode` is lockstep or realtime.
    `on_state(state, detail)` gets connecting, playing, reconnecting and closed, `on_error` every error that the server
    reports, `on_message` every message once; they are called in the receiving thread. Only the age of an answer and the
    time of a lost connection are measured by `clock`, in seconds; `backoff`, `sleep` and `jitter` (0 to 1) say when to
    try again.
    """
    hello = build(
        Hello, spec=spec, instruction=instruction, mode=mode, token=token, tasks=tasks, seed=seed,
        owner=owner, sdk="iafm-python",
    )  # fmt: skip

    def receive(message: FromServer) -> None:
        on_message(message)
        if isinstance(message, ErrorMessage):
            on_error(AnswerError(with_hint(message), message.code))

    connection = ReconnectingConnection(
        url, ClientSession(hello), backoff=backoff, clock=clock, sleep=sleep, jitter=jitter,
        on_state=on_state, on_message=receive,
    )  # fmt: skip
    return BridgeClient(connection, clock)


def ask(url: str, kind: str, *, session: str | None = None, token: str | None = None) -> str:
    """Answer of a running server about a session (None: the newest); raises `BridgeError`."""
    query = build(Query, kind=kind, session=session)
    with _attached(url, "query", token) as connection:
        connection.send(query.model_dump_json())
        for message in receive(connection, REPLY_TIMEOUT_S):
            if isinstance(message, Answer):
                return message.text
            if isinstance(message, ErrorMessage):
                raise error_of(message)
    raise BridgeError("the server closed the connection")


def instruct(
    url: str,
    text: str = "",
    *,
    release: bool = False,
    session: str | None = None,
    token: str | None = None,
) -> str:
    """Set the instruction of a session (None: the newest); returns its name once the instruction counts.

    It stays, whatever the game asks for, until `release`. Raises `BridgeError` where the server refuses.
    """
    message = build(Instruct, text=text, release=release, session=session)
    with _attached(url, "query", token) as connection:
        connection.send(message.model_dump_json())
        for reply in receive(connection, REPLY_TIMEOUT_S):
            if isinstance(reply, Instruct):
                return reply.session or ""
            if isinstance(reply, ErrorMessage):
                raise error_of(reply)
    raise BridgeError("the server closed the connection")


def watch(
    url: str, *, session: str | None = None, token: str | None = None
) -> Generator[WatchMessage]:
    """Messages about one session (None: whichever is the newest), without pictures.

    Of equal `State` messages in a row only the first is yielded. Ends when the named session ends; raises
    `BridgeError` where there is no such session.
    """
    subscription = build(Subscribe, session=session)
    last_state: State | None = None
    attached = False
    with _attached(url, "watch", token) as connection:
        if session is not None:
            connection.send(subscription.model_dump_json())
        for message in receive(connection):
            match message:
                case ErrorMessage():
                    raise error_of(message)
                case State():
                    present = any(game.session == session for game in message.sessions)
                    if attached and not present:
                        return
                    if message != last_state and (present or session is None):
                        yield message
                    last_state, attached = message, present
                case Act() | Event() | Instruct():
                    yield message


@contextmanager
def _attached(url: str, role: str, token: str | None) -> Iterator[ClientConnection]:
    """The connection of a console or a tool."""
    exit_stack, connection, _ = open_connection(url, build(Hello, role=role, token=token))
    with exit_stack:
        try:
            yield connection
        except ConnectionClosed as closed:
            raise closed_error(closed) from None


def _codec(frame: Frame) -> frames.Codec:
    return frames.Codec.RGB if frame.nbytes <= MAX_RAW_BYTES else frames.Codec.JPEG

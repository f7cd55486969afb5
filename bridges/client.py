"""Client: attach a game to a server, or ask, instruct and watch a running one; blocking, without a model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

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
from bridges.errors import BridgeError
from bridges.protocol import frames
from bridges.protocol.messages import (
    Act,
    Answer,
    ErrorMessage,
    Event,
    FromServer,
    Hello,
    Instruct,
    Query,
    State,
    Subscribe,
    Welcome,
)
from games import Frame, GameSpec

MAX_RAW_BYTES = 64 << 10
"""Frames up to this size travel raw, larger ones as JPEG."""
WatchMessage = Act | Event | Instruct | State


class BridgeClient:
    """One game attached to a server; a thread receives, so an instruction typed elsewhere arrives at once.

    Lockstep: `act(frame)` waits for the answer. Realtime: `send(frame)`, then `current_action()` whenever a step is
    due. `clock` returns seconds; only the age of an answer is measured by it.
    """

    def __init__(
        self,
        exit_stack: ExitStack,
        connection: ClientConnection,
        welcome: Welcome,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.welcome = welcome
        self.console_instruction: str | None = None
        """What a console asks for, until it is released."""
        self._own_instruction = welcome.instruction
        self._exit_stack = exit_stack
        self._connection = connection
        self._clock = clock
        self._number = 0
        self._episode_end = 0
        """Number of the last observation of the episode before."""
        self._sent_at: dict[int, float] = {}
        self._act: Act | None = None
        self._act_received_at = self._act_frame_sent_at = 0.0
        self._answers: dict[int, str] = {}
        self._queries = 0
        self._error: BridgeError | None = None
        self._updated = threading.Condition()
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def send(self, frame: Frame) -> int:
        """Send an observation (H, W, 3) uint8 RGB; returns its number. Raises `BridgeError` for a frame too large."""
        try:
            data = frames.pack(frame, self._number + 1, time.monotonic_ns(), _codec(frame))
        except frames.FrameError as error:
            raise BridgeError(str(error)) from None
        with self._updated:
            self._number += 1
            self._sent_at[self._number] = self._clock()
        self._transmit(data)
        return self._number

    def act(self, frame: Frame, timeout_s: float = REPLY_TIMEOUT_S) -> Act:
        """Send an observation and wait for its whole answer; raises `BridgeError` where none comes."""
        number = self.send(frame)
        with self._updated:
            ready = self._updated.wait_for(
                lambda: self._error or (self._act and self._act.observation == number), timeout_s
            )
            if self._error:
                raise self._error
            if not ready or self._act is None:
                raise BridgeError(f"no action within {timeout_s:g} s")
            return self._act

    def current_action(self, step: int | None = None) -> Act | None:
        """The action due now by the newest answer; None once its time has passed: then release all keys (the failsafe).

        Of planned actions it is the one of this step, and the last is held. Steps are counted by the clock from when
        the picture was sent; a game that sends one at every step can give the number of the picture of this step.
        """
        with self._updated:
            if self._error:
                raise self._error
            act, now = self._act, self._clock()
            if act is None or 1000 * (now - self._act_received_at) > act.valid_ms:
                return None
            if step is not None:
                return act.at_step(step - act.observation)
            age_ms = 1000 * (now - self._act_frame_sent_at)
            return act.at_step(int(age_ms / act.step_ms) if act.step_ms else 0)

    @property
    def instruction(self) -> str:
        """What counts now: a console's instruction, else this game's."""
        console = self.console_instruction
        return self._own_instruction if console is None else console

    def instruct(self, text: str) -> None:
        """Change the game's instruction; one from a console goes before it until it is released there."""
        message = build(Instruct, text=text)
        self._own_instruction = text
        self._transmit(message.model_dump_json())

    def event(self, **values: Any) -> None:
        """Report reward, terminated, truncated, success (see `messages.Event`).

        After the end of an episode, `current_action` ignores answers to its observations.
        """
        message = build(Event, **values)
        if message.terminated or message.truncated:
            with self._updated:
                self._act, self._episode_end = None, self._number
        self._transmit(message.model_dump_json())

    def ask(self, kind: str, timeout_s: float = REPLY_TIMEOUT_S) -> str:
        """Ask "next_action", "why" or "caption" about the newest observation."""
        number = self._queries + 1
        query = build(Query, id=number, kind=kind)
        self._queries = number
        self._transmit(query.model_dump_json())
        with self._updated:
            if not self._updated.wait_for(
                lambda: number in self._answers or self._error, timeout_s
            ):
                raise BridgeError(f"no answer within {timeout_s:g} s")
            if number not in self._answers:
                assert self._error is not None
                raise self._error
            return self._answers.pop(number)

    def close(self) -> None:
        """Close the connection and end the receiving thread."""
        self._exit_stack.close()
        self._thread.join(2)

    def _transmit(self, data: str | bytes) -> None:
        try:
            self._connection.send(data)
        except ConnectionClosed as closed:
            raise closed_error(closed) from None

    def _receive(self) -> None:
        error = BridgeError("the server closed the connection")
        try:
            for message in receive(self._connection):
                with self._updated:
                    self._apply(message)
                    self._updated.notify_all()
        except BridgeError as broken:
            error = broken
        with self._updated:
            self._error = self._error or error
            self._updated.notify_all()

    def _apply(self, message: FromServer) -> None:
        match message:
            case Act():
                self._store_act(message)
            case Instruct():
                self.console_instruction = None if message.release else message.text
            case Answer():
                self._answers[message.id] = message.text
            case ErrorMessage():
                self._error = error_of(message)

    def _store_act(self, act: Act) -> None:
        if act.observation <= self._episode_end:
            return
        self._act, self._act_received_at = act, self._clock()
        self._act_frame_sent_at = self._sent_at.get(act.observation, self._act_received_at)
        self._sent_at = {n: at for n, at in self._sent_at.items() if n > act.observation}

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
    clock: Callable[[], float] = time.monotonic,
) -> BridgeClient:
    """Attach a game; raises `BridgeError` with one line where the server is away or refuses.

    `url` is `ws://host:port/v1`, or any form that `protocol.address` accepts. `mode` is lockstep or realtime.
    """
    hello = build(
        Hello, spec=spec, instruction=instruction, mode=mode, token=token, tasks=tasks, seed=seed,
        sdk="iafm-python",
    )  # fmt: skip
    return BridgeClient(*open_connection(url, hello), clock)


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

"""How does a Python game attach? A blocking client; no torch is loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as _connect
from websockets.typing import Subprotocol

from bridges.errors import BridgeError
from bridges.protocol import frames
from bridges.protocol.messages import (
    MAX_MESSAGE,
    SUBPROTOCOL,
    Act,
    Answer,
    ErrorMessage,
    Event,
    Hello,
    Instruct,
    Query,
    Welcome,
    from_server,
)
from games import Frame, GameSpec

REPLY_TIMEOUT_S = 30.0


class BridgeClient:
    """One game attached to a server; a thread receives, so an instruction typed elsewhere arrives at once.

    Lockstep: `act(frame)` waits for the answer. Realtime: `send(frame)`, then `newest()` whenever a step is due.
    `clock` tells seconds; how old an answer is, only it says.
    """

    def __init__(
        self,
        exit_stack: ExitStack,
        connection: ClientConnection,
        welcome: Welcome,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.welcome = welcome
        self.instruction = welcome.instruction
        self._exit_stack = exit_stack
        self._connection = connection
        self._clock = clock
        self._number = self._ended_at = 0
        self._sent: dict[int, float] = {}
        self._act: Act | None = None
        self._act_at = self._seen_at = 0.0
        self._answers: dict[int, str] = {}
        self._asked = 0
        self._error: BridgeError | None = None
        self._updated = threading.Condition()
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def send(self, frame: Frame) -> int:
        """Send an observation (H, W, 3) uint8 RGB; returns its number."""
        with self._updated:
            self._number += 1
            self._sent[self._number] = self._clock()
        data = frames.pack(frame, self._number, time.monotonic_ns(), _codec(frame))
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
        """What to do now by the newest answer, None once its time has passed: then release all keys (the failsafe).

        Of several actions that of the step now due, later on the last. Steps are counted by the clock from when the
        picture was sent; a game that sends one at every step can name the picture that this step began with.
        """
        with self._updated:
            if self._error:
                raise self._error
            act, now = self._act, self._clock()
            if act is None or 1000 * (now - self._act_at) > act.valid_ms:
                return None
            if step is not None:
                return act.at_step(step - act.observation)
            return act.at_step(
                int(1000 * (now - self._seen_at) / act.step_ms) if act.step_ms else 0
            )

    def instruct(self, text: str) -> None:
        """Change the goal."""
        self.instruction = text
        self._transmit(Instruct(text=text).model_dump_json())

    def event(self, **values: Any) -> None:
        """Report reward, terminated, truncated, success (see `messages.Event`).

        Behind an episode's end its answers count no more for `newest`.
        """
        if values.get("terminated") or values.get("truncated"):
            with self._updated:
                self._act, self._ended_at = None, self._number
        self._transmit(Event(**values).model_dump_json())

    def ask(self, kind: str, timeout_s: float = REPLY_TIMEOUT_S) -> str:
        """Ask "next_action", "why" or "caption" about the newest observation."""
        self._asked += 1
        number = self._asked
        self._transmit(Query.model_validate({"id": number, "kind": kind}).model_dump_json())
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
        self._exit_stack.close()
        self._thread.join(2)

    def _transmit(self, data: str | bytes) -> None:
        try:
            self._connection.send(data)
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    def _receive(self) -> None:
        try:
            for data in self._connection:
                if isinstance(data, bytes):
                    continue
                message = from_server(data)
                with self._updated:
                    match message:
                        case Act():
                            self._answered(message)
                        case Instruct():
                            self.instruction = message.text
                        case Answer():
                            self._answers[message.id] = message.text
                        case ErrorMessage():
                            self._error = BridgeError(f"{message.code}: {message.message}")
                    self._updated.notify_all()
            reason: ConnectionClosed | None = None
        except ConnectionClosed as closed:
            reason = closed
        with self._updated:
            self._error = self._error or (
                _closed(reason) if reason else BridgeError("the server closed the connection")
            )
            self._updated.notify_all()

    def _answered(self, act: Act) -> None:
        if act.observation <= self._ended_at:
            return
        self._act, self._act_at = act, self._clock()
        self._seen_at = self._sent.get(act.observation, self._act_at)
        self._sent = {n: at for n, at in self._sent.items() if n > act.observation}

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
    """Attach a game; raises `BridgeError` with one line where the server is away or refuses."""
    hello = Hello.model_validate(
        {"spec": spec, "instruction": instruction, "mode": mode, "token": token, "tasks": tasks, "seed": seed,
         "sdk": "iafm-python"}
    )  # fmt: skip
    return BridgeClient(*_open(url, hello), clock)


def ask(url: str, kind: str, *, session: str | None = None, token: str | None = None) -> str:
    """Ask a running server about a session (the newest where None)."""
    held, connection, _ = _open(url, Hello(role="query", token=token))
    with held:
        connection.send(Query.model_validate({"kind": kind, "session": session}).model_dump_json())
        for message in _messages(connection):
            if isinstance(message, Answer):
                return message.text
            if isinstance(message, ErrorMessage):
                raise BridgeError(f"{message.code}: {message.message}")
    raise BridgeError("the server closed the connection")


def watch(url: str, *, session: str | None = None, token: str | None = None) -> Iterator[Any]:
    """The messages a console gets: `Act`, `State`, `Event`, `Instruct`; pictures are left out."""
    held, connection, _ = _open(url, Hello(role="watch", token=token))
    with held:
        if session:
            connection.send(f'{{"type":"subscribe","session":"{session}"}}')
        yield from _messages(connection)


def _messages(connection: ClientConnection) -> Iterator[Any]:
    try:
        for data in connection:
            if isinstance(data, str) and (message := from_server(data)) is not None:
                yield message
    except ConnectionClosed as closed:
        raise _closed(closed) from None


def _open(url: str, hello: Hello) -> tuple[ExitStack, ClientConnection, Welcome]:
    held = ExitStack()
    try:
        connection = held.enter_context(
            _connect(
                url, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, max_size=MAX_MESSAGE,
                open_timeout=10, close_timeout=2, proxy=None,
            )
        )  # fmt: skip
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise BridgeError(f"no server at {url}: {error}; start one with `iafm serve`") from None
    except (ValueError, InvalidURI) as error:
        raise BridgeError(
            f"{url} is no server's address, as ws://127.0.0.1:8765/v1 is: {error}"
        ) from None
    try:
        connection.send(hello.model_dump_json())
        problem = ""
        while True:
            data = connection.recv(timeout=REPLY_TIMEOUT_S)
            message = from_server(data) if isinstance(data, str) else None
            if isinstance(message, Welcome):
                return held, connection, message
            if isinstance(message, ErrorMessage):
                problem = f"{message.code}: {message.message}"
    except (ConnectionClosed, TimeoutError) as error:
        held.close()
        if problem:
            raise BridgeError(problem) from None
        raise (
            _closed(error) if isinstance(error, ConnectionClosed) else BridgeError("no welcome")
        ) from None


def _codec(frame: Frame) -> frames.Codec:
    """Small pictures travel raw, larger ones as JPEG."""
    return frames.Codec.RGB if frame.nbytes <= 64 << 10 else frames.Codec.JPEG


def _closed(error: ConnectionClosed) -> BridgeError:
    close = error.rcvd
    why = f"{close.code} {close.reason}" if close else "connection lost"
    return BridgeError(f"the server ended the session: {why}")

"""Reconnecting connection: one session's websocket in a thread, opened again with backoff when it is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal, TypeVar

from websockets.exceptions import ConnectionClosed

from bridges.connection import foreign_error, open_connection, receive_text
from bridges.errors import BridgeError, DisconnectedError
from bridges.protocol.backoff import Backoff, Retries
from bridges.protocol.client_session import ClientSession
from bridges.protocol.messages import Bye, FromServer, MessageError, Welcome

log = logging.getLogger("iafm.bridge")
FLUSH_S = 1.0
"""Longest wait at the end for the acknowledgement of what was sent."""
ConnectionState = Literal["connecting", "playing", "reconnecting", "closed"]
_T = TypeVar("_T")


class ReconnectingConnection:
    """Carries a `ClientSession`, which `updated` guards; `error` is set once it is over.

    `on_state(state, detail)` and `on_message(message)` are called without locks, in the thread that receives.
    """

    def __init__(
        self,
        url: str,
        session: ClientSession,
        *,
        backoff: Backoff,
        clock: Callable[[], float],
        sleep: Callable[[float], object] | None,
        jitter: Callable[[], float],
        on_state: Callable[[ConnectionState, str], None],
        on_message: Callable[[FromServer], None],
    ) -> None:
        self.session, self.updated = session, threading.Condition()
        self.error: BridgeError | None = None
        self._url, self._clock, self._jitter = url, clock, jitter
        self._on_state, self._on_message = on_state, on_message
        self._closing = threading.Event()
        self._sleep = sleep or self._closing.wait
        self._writing = threading.Lock()
        """Held while a message is numbered and written, so that numbers ascend on the wire."""
        self._retries = Retries(backoff)
        on_state("connecting", url)
        self._open()
        on_state("playing", f"attached as {self._welcome.session}")
        self._thread = threading.Thread(target=self._run, name="bridge client", daemon=True)
        self._thread.start()

    @property
    def _welcome(self) -> Welcome:
        assert self.session.welcome is not None
        return self.session.welcome

    def transact(self, change: Callable[[], _T]) -> _T:
        """Change the session, and write what it has to send; a lost connection is no error, it is opened again."""
        with self._writing:
            with self.updated:
                if self.error:
                    raise self.error
                result = change()
            self._write()
        return result

    def close(self) -> None:
        """Wait a moment for what is not acknowledged, say bye, and end the thread."""
        with self.updated:
            self.updated.wait_for(lambda: self.error or not self._is_unacknowledged(), FLUSH_S)
        self._closing.set()
        try:
            self._connection.send(Bye().model_dump_json())
        except ConnectionClosed:
            log.debug("no bye: the connection was lost")
        self._exit_stack.close()
        self._thread.join(2)

    def _is_unacknowledged(self) -> bool:
        return bool(self._welcome.resume and self.session.waiting_texts)

    # --- one connection ---

    def _open(self) -> None:
        """A connection with its welcome; raises `BridgeError`."""
        exit_stack, connection, welcome = open_connection(self._url, self.session.hello())
        with self._writing:
            self._exit_stack, self._connection = exit_stack, connection
            self._retries.opened(self._clock())
            with self.updated:
                self.session.connected(welcome)
                self.updated.notify_all()
            self._write()

    def _write(self) -> None:
        with self.updated:
            data = self.session.data_to_send()
        try:
            for message in data:
                self._connection.send(message)
        except ConnectionClosed:
            log.debug("not sent: the connection was lost")

    def _receive(self) -> DisconnectedError:
        """Apply what comes until the connection ends; returns why it did."""
        try:
            for text in receive_text(self._connection):
                with self.updated:
                    message = self.session.receive(text, self._clock())
                    self.updated.notify_all()
                if message is not None:
                    self._on_message(message)
                if self.session.has_data_to_send:
                    with self._writing:
                        self._write()
        except DisconnectedError as closed:
            return closed
        except MessageError as error:
            raise foreign_error(error) from None
        return DisconnectedError("the server closed the connection", 1000)

    # --- one after another ---

    def _run(self) -> None:
        problem = BridgeError("the connection was closed")
        try:
            while not self._closing.is_set():
                lost = self._receive()
                with self.updated:
                    self.session.disconnected()
                    self.updated.notify_all()
                self._exit_stack.close()
                self._reconnect(lost)
        except BridgeError as error:
            problem = error
        except Exception:
            log.exception("the client failed")
            problem = BridgeError("the client failed; the log says how")
        with self.updated:
            self.session.disconnected()
            self.error = problem
            self.updated.notify_all()
        self._on_state("closed", str(problem))

    def _reconnect(self, lost: DisconnectedError) -> None:
        """Try until there is a connection; raises why there is none any more."""
        if self._closing.is_set():
            raise BridgeError("the connection was closed")
        self._retries.lost(lost, self._clock())
        self._on_state("reconnecting", str(lost))
        while True:
            self._sleep(self._retries.next_delay_s(self._jitter()))
            if self._closing.is_set():
                raise BridgeError("the connection was closed")
            try:
                self._open()
                break
            except DisconnectedError as error:
                self._retries.failed(error, self._clock())
        waited_s = self._retries.waited_s(self._clock())
        self._on_state("playing", how_it_goes_on(self._welcome, waited_s))


def how_it_goes_on(welcome: Welcome, waited_s: float) -> str:
    """What became of a session whose connection was lost."""
    how = "resumed" if welcome.resumed else "attached anew as"
    return f"{how} {welcome.session} after {waited_s:.1f} s"

"""Asyncio connection: one session's websocket in an event loop, opened again with backoff when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bridges.connection import OPTIONS, REPLY_TIMEOUT_S, closed_error, foreign_error, opening
from bridges.errors import BridgeError, DisconnectedError
from bridges.protocol import messages
from bridges.protocol.address import websocket_url
from bridges.protocol.backoff import Backoff, Retries
from bridges.protocol.client_session import ClientSession, with_hint
from bridges.protocol.messages import Bye, ErrorMessage, FromServer, MessageError, Welcome
from bridges.reconnect import FLUSH_S, ConnectionState, how_it_goes_on

log = logging.getLogger("iafm.bridge")
_T = TypeVar("_T")


class AsyncReconnectingConnection:
    """Carries a `ClientSession` in one event loop; `error` is set once it is over."""

    def __init__(
        self,
        url: str,
        session: ClientSession,
        *,
        backoff: Backoff,
        clock: Callable[[], float],
        on_state: Callable[[ConnectionState, str], None],
        on_message: Callable[[FromServer], None],
    ) -> None:
        self.session = session
        self.error: BridgeError | None = None
        self._url, self._retries, self._clock = url, Retries(backoff), clock
        self._on_state, self._on_message = on_state, on_message
        self._updated, self._has_data = asyncio.Event(), asyncio.Event()

    @property
    def _welcome(self) -> Welcome:
        assert self.session.welcome is not None
        return self.session.welcome

    def transact(self, change: Callable[[], _T], /) -> _T:
        """Change the session, and have written what it has to send; nothing waits."""
        if self.error:
            raise self.error
        result = change()
        self._has_data.set()
        return result

    async def updated(self) -> None:
        """Wait until something came, or the connection changed."""
        await self._updated.wait()

    def _notify(self) -> None:
        self._updated.set()
        self._updated = asyncio.Event()

    async def start(self) -> None:
        """Attach, and keep attached until `close`; raises `BridgeError`."""
        self._on_state("connecting", self._url)
        await self._open()
        self._on_state("playing", f"attached as {self._welcome.session}")
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Wait a moment for what is not acknowledged, and say bye."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                while self._welcome.resume and self.session.waiting_texts and not self.error:
                    await self.updated()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(Bye().model_dump_json())
        await self._connection.close()

    # --- one connection ---

    async def _open(self) -> None:
        """A connection with its welcome; raises `BridgeError`."""
        url = websocket_url(self._url)
        with opening(url):
            connection = await connect(url, **OPTIONS)
        try:
            welcome = await self._greet(connection)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        self._retries.opened(self._clock())
        self.session.connected(welcome)
        self._has_data.set()
        self._notify()

    async def _greet(self, connection: ClientConnection) -> Welcome:
        """The server's answer to the hello; raises `BridgeError` with its reason where it refuses."""
        problem = ""
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                await connection.send(self.session.hello().model_dump_json())
                while True:
                    message = messages.from_server(await connection.recv(decode=True))
                    if isinstance(message, Welcome):
                        return message
                    if isinstance(message, ErrorMessage):
                        problem = with_hint(message)
        except TimeoutError:
            raise DisconnectedError(f"no answer within {REPLY_TIMEOUT_S:g} s") from None
        except ConnectionClosed as closed:
            lost = closed_error(closed)
            raise DisconnectedError(problem or str(lost), lost.code) from None
        except MessageError as error:
            raise foreign_error(error) from None

    async def _write(self, connection: ClientConnection) -> None:
        """Write what there is to send, in order, until the connection ends."""
        while True:
            self._has_data.clear()
            for data in self.session.data_to_send():
                await connection.send(data)
            await self._has_data.wait()

    async def _read(self, connection: ClientConnection) -> DisconnectedError:
        """Apply what comes until the connection ends; returns why it did."""
        while True:
            try:
                data = await connection.recv()
                message = (
                    self.session.receive(data, self._clock()) if isinstance(data, str) else None
                )
            except ConnectionClosed as closed:
                return closed_error(closed)
            except MessageError as error:
                raise foreign_error(error) from None
            if self.session.has_data_to_send:
                self._has_data.set()
            self._notify()
            if message is not None:
                self._on_message(message)

    # --- one after another ---

    async def _run(self) -> None:
        problem = BridgeError("the connection was closed")
        try:
            while True:
                writing = asyncio.create_task(self._write(self._connection))
                try:
                    lost = await self._read(self._connection)
                finally:
                    writing.cancel()
                    await asyncio.gather(writing, return_exceptions=True)
                self.session.disconnected()
                self._notify()
                await self._connection.close()
                await self._reconnect(lost)
        except BridgeError as error:
            problem = error
        except Exception:
            log.exception("the client failed")
            problem = BridgeError("the client failed; the log says how")
        finally:
            self.session.disconnected()
            self.error = problem
            self._notify()
            self._on_state("closed", str(problem))

    async def _reconnect(self, lost: DisconnectedError) -> None:
        """Try until there is a connection; raises why there is none any more."""
        self._retries.lost(lost, self._clock())
        self._on_state("reconnecting", str(lost))
        while True:
            await asyncio.sleep(self._retries.next_delay_s(random.random()))
            try:
                await self._open()
                break
            except DisconnectedError as error:
                self._retries.failed(error, self._clock())
        waited_s = self._retries.waited_s(self._clock())
        self._on_state("playing", how_it_goes_on(self._welcome, waited_s))

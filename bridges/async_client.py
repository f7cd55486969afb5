"""Asyncio client: attach a game to a server from an event loop; without a model and without a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from bridges.async_reconnect import AsyncReconnectingConnection
from bridges.connection import REPLY_TIMEOUT_S, build, with_errors
from bridges.errors import AnswerError, BridgeError
from bridges.game_client import NO_CAMERAS, GameClient, hello_of
from bridges.protocol.backoff import Backoff
from bridges.protocol.client_session import ClientSession
from bridges.protocol.clock import ClockDifference, ClockOffset
from bridges.protocol.messages import Act, FromServer, Query
from bridges.reconnect import ConnectionState
from games import Frame, GameSpec

DEFAULT_BACKOFF = Backoff()
_T = TypeVar("_T")


class AsyncBridgeClient(GameClient):
    """As `BridgeClient`, in one event loop: what waits is awaited, everything else returns at once."""

    def __init__(self, connection: AsyncReconnectingConnection, clock: Callable[[], float]) -> None:
        super().__init__(connection.session, connection.transact, clock)
        self._connection = connection

    async def act(
        self,
        frame: Frame,
        timeout_s: float = REPLY_TIMEOUT_S,
        *,
        agent: int = 0,
        cameras: Mapping[int, Frame] = NO_CAMERAS,
        bottom_up: bool = False,
        **report: Any,
    ) -> Act:
        """As `BridgeClient.act`; several agents' are awaited together by `asyncio.gather`."""
        numbers = self._observe(
            {agent: frame}, {agent: cameras}, {agent: report}, bottom_up, awaited=True
        )
        number, state = numbers[agent], self.agents[agent]
        try:
            return await self._wait_for(lambda: state.take_act(number), timeout_s, "action")
        finally:
            state.forget_act(number)

    def current_action(self, step: int | None = None, *, agent: int = 0) -> Act | None:
        """As `BridgeClient.current_action`."""
        if self._connection.error:
            raise self._connection.error
        return self._agent(agent).action_due(self._clock(), step)

    async def ask(self, kind: str, timeout_s: float = REPLY_TIMEOUT_S, *, agent: int = 0) -> str:
        """As `BridgeClient.ask`."""
        number = self._session.next_query()
        self._send_text(build(Query, id=number, kind=kind, agent=agent))
        try:
            return await self._wait_for(
                lambda: self._session.take_answer(number), timeout_s, "answer"
            )
        finally:
            self._session.forget_query(number)

    async def ask_clock(
        self, times: int = 8, timeout_s: float = REPLY_TIMEOUT_S
    ) -> ClockDifference:
        """As `BridgeClient.ask_clock`."""
        offset = ClockOffset()
        for _ in range(max(1, times)):
            self._transact(lambda: self._session.ask_clock(self._clock()))
            offset.add(await self._wait_for(self._session.take_exchange, timeout_s, "time"))
        if offset.difference is None:
            raise BridgeError("the server's clock runs backward")
        return offset.difference

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _wait_for(
        self, take: Callable[[], _T | AnswerError | None], timeout_s: float, what: str
    ) -> _T:
        """What `take` returns once it is something; while there is no connection the time does not run."""
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while (result := take()) is None:
            if self._connection.error:
                raise self._connection.error
            if not self.is_connected:
                deadline = None
            elif deadline is None:
                deadline = loop.time() + timeout_s
            try:
                async with asyncio.timeout_at(deadline):
                    await self._connection.updated()
            except TimeoutError:
                raise BridgeError(f"no {what} within {timeout_s:g} s") from None
        if isinstance(result, AnswerError):
            raise result
        return result


@asynccontextmanager
async def connect(
    url: str,
    spec: GameSpec,
    *,
    instruction: str = "",
    mode: str = "lockstep",
    token: str | None = None,
    tasks: tuple[str, ...] = (),
    seed: int | None = None,
    owner: str = "agent",
    agents: int = 1,
    cameras: int = 1,
    replay: bool = False,
    on_state: Callable[[ConnectionState, str], None] = lambda state, detail: None,
    on_error: Callable[[AnswerError], None] = lambda error: None,
    on_message: Callable[[FromServer], None] = lambda message: None,
    backoff: Backoff = DEFAULT_BACKOFF,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[AsyncBridgeClient]:
    """Attach a game, as `bridges.client.connect`: `async with connect(url, spec) as game: …`.

    `on_state`, `on_error` and `on_message` are called in the event loop.
    """
    hello = hello_of(
        spec, instruction=instruction, mode=mode, token=token, tasks=tasks, seed=seed, owner=owner,
        agents=agents, cameras=cameras, replay=replay,
    )  # fmt: skip

    connection = AsyncReconnectingConnection(
        url, ClientSession(hello), backoff=backoff, clock=clock, on_state=on_state,
        on_message=with_errors(on_message, on_error),
    )  # fmt: skip
    await connection.start()
    client = AsyncBridgeClient(connection, clock)
    try:
        yield client
    finally:
        await client.close()

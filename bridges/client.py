"""Client: attach a game to a server; blocking, without a model."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from bridges.connection import REPLY_TIMEOUT_S, build, with_errors
from bridges.errors import AnswerError, BridgeError
from bridges.game_client import NO_CAMERAS, GameClient, hello_of
from bridges.protocol.backoff import Backoff
from bridges.protocol.client_session import ClientSession
from bridges.protocol.clock import ClockDifference, ClockOffset
from bridges.protocol.messages import (
    Act,
    FromServer,
    Query,
)
from bridges.reconnect import ConnectionState, ReconnectingConnection
from games import Frame, GameSpec

DEFAULT_BACKOFF = Backoff()
_T = TypeVar("_T")


class BridgeClient(GameClient):
    """One game attached to a server; a thread receives, so an instruction typed elsewhere arrives at once.

    Lockstep: `act(frame)` waits for the answer. Realtime: `send(frame)`, then `current_action()` whenever a step is
    due. A lost connection is opened again and the session resumed: texts wait for it, `act` and `ask` wait longer,
    frames of realtime play are dropped. A method raises `AnswerError` where only its own picture or query has no
    answer, and `BridgeError` once the session is over.
    """

    def __init__(self, connection: ReconnectingConnection, clock: Callable[[], float]) -> None:
        super().__init__(connection.session, connection.transact, clock)
        self._connection = connection

    def act(
        self,
        frame: Frame,
        timeout_s: float = REPLY_TIMEOUT_S,
        *,
        agent: int = 0,
        cameras: Mapping[int, Frame] = NO_CAMERAS,
        bottom_up: bool = False,
        **report: Any,
    ) -> Act:
        """Send an observation as `send` and wait for its whole answer.

        Raises `AnswerError` where this picture has none: play on with the null action. The time of a lost connection
        does not count.
        """
        numbers = self._observe(
            {agent: frame}, {agent: cameras}, {agent: report}, bottom_up, awaited=True
        )
        return self._wait_for_act(agent, numbers[agent], timeout_s)

    def act_all(
        self,
        frames: Mapping[int, Frame],
        timeout_s: float = REPLY_TIMEOUT_S,
        *,
        cameras: Mapping[int, Mapping[int, Frame]] | None = None,
        reports: Mapping[int, Mapping[str, Any]] | None = None,
        bottom_up: bool = False,
    ) -> dict[int, Act | None]:
        """Send an observation for each of these agents, and wait for all answers; everything is by agent.

        None where a picture has no answer, of which `on_error` hears: play on with the null action. The player may
        answer all in one pass, which one `act` after the other cannot.
        """
        numbers = self._observe(frames, cameras or {}, reports or {}, bottom_up, awaited=True)
        acts: dict[int, Act | None] = {}
        try:
            for agent, number in numbers.items():
                try:
                    acts[agent] = self._wait_for_act(agent, number, timeout_s)
                except AnswerError:
                    acts[agent] = None
        finally:
            for agent, number in numbers.items():
                self.agents[agent].forget_act(number)
        return acts

    def current_action(self, step: int | None = None, *, agent: int = 0) -> Act | None:
        """The action due now by the newest answer; None once its time has passed or the connection is lost: then
        release all keys (the failsafe).

        Of planned actions it is the one of this step, and the last is held. Steps are counted by the clock from when
        the picture was sent; a game that sends one at every step can give the number of the picture of this step.
        """
        with self._connection.updated:
            if self._connection.error:
                raise self._connection.error
            return self._agent(agent).action_due(self._clock(), step)

    def ask(self, kind: str, timeout_s: float = REPLY_TIMEOUT_S, *, agent: int = 0) -> str:
        """Ask "next_action", "why" or "caption" about the newest observation; raises `AnswerError`."""
        with self._connection.updated:
            number = self._session.next_query()
        self._send_text(build(Query, id=number, kind=kind, agent=agent))
        try:
            return self._wait_for(lambda: self._session.take_answer(number), timeout_s, "answer")
        finally:
            self._session.forget_query(number)

    def ask_clock(self, times: int = 8, timeout_s: float = REPLY_TIMEOUT_S) -> ClockDifference:
        """Compare the server's clock with ours, by so many questions of which the quickest counts.

        The server's clock is the one of `Clock.t1` and `t2`, ours that of `connect`. Raises `AnswerError` where the
        connection is lost meanwhile.
        """
        offset = ClockOffset()
        for _ in range(max(1, times)):
            self._connection.transact(lambda: self._session.ask_clock(self._clock()))
            offset.add(self._wait_for(self._session.take_exchange, timeout_s, "time"))
        if offset.difference is None:
            raise BridgeError("the server's clock runs backward")
        return offset.difference

    def close(self) -> None:
        """Close the connection and end the receiving thread."""
        self._connection.close()

    def _wait_for_act(self, agent: int, number: int, timeout_s: float) -> Act:
        """The answer to an awaited observation."""
        state = self.agents[agent]
        try:
            return self._wait_for(lambda: state.take_act(number), timeout_s, "action")
        finally:
            state.forget_act(number)

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
    agents: int = 1,
    cameras: int = 1,
    replay: bool = False,
    on_state: Callable[[ConnectionState, str], None] = lambda state, detail: None,
    on_error: Callable[[AnswerError], None] = lambda error: None,
    on_message: Callable[[FromServer], None] = lambda message: None,
    backoff: Backoff = DEFAULT_BACKOFF,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] | None = None,
    jitter: Callable[[], float] = random.random,
) -> BridgeClient:
    """Attach a game; raises `BridgeError` with one line where the server is away or refuses.

    `url` is `ws://host:port/v1`, or any form that `protocol.address` accepts. `mode` is lockstep or realtime. `agents`
    (1 to 16) are played at once, each with pictures of so many `cameras` (1 to 4). `replay` says that it is a recorded
    match: consoles may send it `Replay` messages, and `GameClient.replay_state` tells them where it stands.
    `on_state(state, detail)` gets connecting, playing, reconnecting and closed, `on_error` every error that the server
    reports, `on_message` every message once; they are called in the receiving thread. Only the age of an answer and the
    time of a lost connection are measured by `clock`, in seconds; `backoff`, `sleep` and `jitter` (0 to 1) say when to
    try again.
    """
    hello = hello_of(
        spec, instruction=instruction, mode=mode, token=token, tasks=tasks, seed=seed, owner=owner,
        agents=agents, cameras=cameras, replay=replay,
    )  # fmt: skip

    connection = ReconnectingConnection(
        url, ClientSession(hello), backoff=backoff, clock=clock, sleep=sleep, jitter=jitter,
        on_state=on_state, on_message=with_errors(on_message, on_error),
    )  # fmt: skip
    return BridgeClient(connection, clock)

"""Client: attach a game to a server; blocking, without a model."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from bridges.connection import REPLY_TIMEOUT_S, build
from bridges.errors import AnswerError, BridgeError
from bridges.protocol.backoff import Backoff
from bridges.protocol.client_agent import ClientAgent
from bridges.protocol.client_pictures import pack_observation, pack_report
from bridges.protocol.client_session import ClientSession, with_hint
from bridges.protocol.clock import ClockDifference, ClockOffset
from bridges.protocol.fields import Message, Owner
from bridges.protocol.messages import (
    Act,
    Control,
    Correct,
    ErrorMessage,
    Event,
    FromServer,
    Hello,
    Instruct,
    Query,
    Say,
    Welcome,
)
from bridges.reconnect import ConnectionState, ReconnectingConnection
from games import Frame, GameSpec

DEFAULT_BACKOFF = Backoff()
NO_CAMERAS: Mapping[int, Frame] = {}
_T = TypeVar("_T")


class BridgeClient:
    """One game attached to a server; a thread receives, so an instruction typed elsewhere arrives at once.

    Lockstep: `act(frame)` waits for the answer. Realtime: `send(frame)`, then `current_action()` whenever a step is
    due. A lost connection is opened again and the session resumed: texts wait for it, `act` and `ask` wait longer,
    frames of realtime play are dropped. A method raises `AnswerError` where only its own picture or query has no
    answer, and `BridgeError` once the session is over. Where a game has several agents or cameras, `agent` says whose a
    picture or message is, and `cameras` are the pictures beside camera 0's, by their numbers from 1.
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
    def agents(self) -> Sequence[ClientAgent]:
        """Each agent's `instruction`, `console_instruction` and `owner`."""
        return self._session.agents

    @property
    def instruction(self) -> str:
        """What counts now: a console's instruction, else this game's; as the next two of agent 0."""
        return self.agents[0].instruction

    @property
    def console_instruction(self) -> str | None:
        """What a console asks for, until it is released."""
        return self.agents[0].console_instruction

    @property
    def owner(self) -> Owner:
        """Whose actions count, also where a console decided it."""
        return self.agents[0].owner

    @property
    def is_connected(self) -> bool:
        return self._session.is_connected

    def send(
        self,
        frame: Frame,
        *,
        agent: int = 0,
        cameras: Mapping[int, Frame] = NO_CAMERAS,
        bottom_up: bool = False,
        **report: Any,
    ) -> int:
        """Send an observation (H, W, 3) uint8 RGB; returns its number. Raises `BridgeError` for a frame too large.

        `report` tells of the step before it: `executed`, `input`, `reward`, `score`, `state` (see `StepReport`).
        `bottom_up` says that the first row of each frame is the lowest.
        """
        return self._observe({agent: frame}, {agent: cameras}, {agent: report}, bottom_up)[agent]

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
        for agent, number in numbers.items():
            try:
                acts[agent] = self._wait_for_act(agent, number, timeout_s)
            except AnswerError:
                acts[agent] = None
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

    def instruct(self, text: str, *, agent: int = 0) -> None:
        """Change the game's instruction; one from a console goes before it until it is released there."""
        self._send_text(build(Instruct, text=text, agent=agent))

    def event(self, *, agent: int = 0, **values: Any) -> None:
        """Report reward, terminated, truncated, success (see `messages.Event`).

        After the end of an episode, `current_action` ignores answers to its observations.
        """
        self._send_text(build(Event, agent=agent, **values))

    def control(self, owner: Owner, *, agent: int = 0) -> None:
        """Say whose actions count: "human", "agent" or "shared"."""
        self._send_text(build(Control, owner=owner, agent=agent))

    def correct(self, text: str, *, agent: int = 0) -> None:
        """A person's words about what the agent should have done."""
        self._send_text(build(Correct, text=text, agent=agent))

    def say(self, text: str, *, agent: int = 0) -> None:
        """A person's words about what happens."""
        self._send_text(build(Say, text=text, agent=agent))

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

    def _agent(self, agent: int) -> ClientAgent:
        """Raises `BridgeError` for one that was not announced."""
        if not 0 <= agent < len(self.agents):
            raise BridgeError(f"agent {agent}: connect was called with agents={len(self.agents)}")
        return self.agents[agent]

    def _observe(
        self,
        frames: Mapping[int, Frame],
        cameras: Mapping[int, Mapping[int, Frame]],
        reports: Mapping[int, Mapping[str, Any]],
        bottom_up: bool,
        *,
        awaited: bool = False,
    ) -> dict[int, int]:
        """Send an observation for each agent; returns their numbers."""
        packed = {
            agent: pack_report(reports.get(agent, {}), self._session.spec) for agent in frames
        }

        def observe() -> dict[int, int]:
            pictures = {
                agent: pack_observation(
                    frame, self._agent(agent).number + 1, time.monotonic_ns(), agent=agent,
                    cameras=self._checked(cameras.get(agent, {})), bottom_up=bottom_up, report=packed[agent],
                )
                for agent, frame in frames.items()
            }  # fmt: skip
            for agent, (*others, data) in pictures.items():
                now = self._clock()
                self._session.observe(data, now, agent=agent, cameras=others, awaited=awaited)
            return {agent: self.agents[agent].number for agent in frames}

        return self._connection.transact(observe)

    def _checked(self, cameras: Mapping[int, Frame]) -> Mapping[int, Frame]:
        """Raises `BridgeError` for one that was not announced."""
        for camera in cameras:
            if not 0 < camera < self._session.cameras:
                announced = f"connect was called with cameras={self._session.cameras}"
                raise BridgeError(f"camera {camera}: {announced}, and camera 0 is the frame")
        return cameras

    def _wait_for_act(self, agent: int, number: int, timeout_s: float) -> Act:
        """The answer to an awaited observation."""
        state = self.agents[agent]
        try:
            return self._wait_for(lambda: state.take_act(number), timeout_s, "action")
        finally:
            state.forget_act(number)

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
    agents: int = 1,
    cameras: int = 1,
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
    (1 to 16) are played at once, each with pictures of so many `cameras` (1 to 4).
    `on_state(state, detail)` gets connecting, playing, reconnecting and closed, `on_error` every error that the server
    reports, `on_message` every message once; they are called in the receiving thread. Only the age of an answer and the
    time of a lost connection are measured by `clock`, in seconds; `backoff`, `sleep` and `jitter` (0 to 1) say when to
    try again.
    """
    hello = build(
        Hello, spec=spec, instruction=instruction, mode=mode, token=token, tasks=tasks, seed=seed,
        owner=owner, agents=agents, cameras=cameras, sdk="iafm-python",
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

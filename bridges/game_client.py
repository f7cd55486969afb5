"""Game client: what a game says to a server and what it is to do now, without waiting for anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from bridges.connection import build
from bridges.errors import BridgeError
from bridges.protocol.client_agent import ClientAgent
from bridges.protocol.client_pictures import pack_observation, pack_report
from bridges.protocol.client_session import ClientSession
from bridges.protocol.fields import Message, Owner
from bridges.protocol.messages import (
    Control,
    Correct,
    Event,
    Hello,
    Instruct,
    Say,
    Welcome,
)
from bridges.protocol.replay_messages import ReplayState
from games import Frame, GameSpec

NO_CAMERAS: Mapping[int, Frame] = {}
_T = TypeVar("_T")


class Transact(Protocol):
    """Applies a change to a session, and has written what it has to send; raises `BridgeError` once it is over."""

    def __call__(self, change: Callable[[], _T], /) -> _T: ...


class GameClient:
    """One game attached to a server.

    Where a game has several agents or cameras, `agent` says whose a picture or message is, and `cameras` are the
    pictures beside camera 0's, by their numbers from 1.
    """

    def __init__(
        self, session: ClientSession, transact: Transact, clock: Callable[[], float]
    ) -> None:
        self._session, self._transact, self._clock = session, transact, clock

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

    def replay_state(self, *, agent: int = 0, **values: Any) -> None:
        """Say where a replay stands: match, step, steps, paused and words (see `ReplayProgress`)."""
        self._send_text(build(ReplayState, agent=agent, **values))

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

        return self._transact(observe)

    def _checked(self, cameras: Mapping[int, Frame]) -> Mapping[int, Frame]:
        """Raises `BridgeError` for one that was not announced."""
        for camera in cameras:
            if not 0 < camera < self._session.cameras:
                announced = f"connect was called with cameras={self._session.cameras}"
                raise BridgeError(f"camera {camera}: {announced}, and camera 0 is the frame")
        return cameras

    def _send_text(self, message: Message) -> None:
        if not self._transact(lambda: self._session.send(message)):
            raise BridgeError("too many messages wait for the server: send less, or close")


def hello_of(spec: GameSpec, **options: Any) -> Hello:
    """The hello of a game; raises `BridgeError` with the first wrong option."""
    return build(Hello, spec=spec, sdk="iafm-python", **options)

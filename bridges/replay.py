"""Replays: a recorded match as a game on the wire, whose player is asked at each step what it would do.

The frames are always the recording's. With teacher forcing the player is told at each step what the recorded player did
in the step before it; running freely it takes what it decided itself for done. A match is met by shape: nothing here
knows how it was recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bridges.client import BridgeClient, connect
from bridges.protocol.backoff import Backoff
from bridges.protocol.messages import Act
from games import Action, Frame, GameSpec

Forcing = Literal["teacher_forced", "free_running"]
FORCINGS: tuple[Forcing, ...] = ("teacher_forced", "free_running")
IMPATIENT = Backoff(patience_s=10.0)
"""A server that is gone ends a replay soon."""


@dataclass(frozen=True)
class RecordedStep:
    """One step of a match: the frame, what was done there, and what it was done for.

    `reward` is that of the step, `state` the frame's, `dropped_before` the number of the game's steps between the one
    before and this one that were not recorded.
    """

    frame: Frame
    executed: Action
    instruction: str = ""
    reward: float = 0.0
    state: Mapping[str, Any] | None = None
    dropped_before: int = 0


@dataclass(frozen=True)
class Match:
    """A recorded match; `steps` are read once, in order, while it is replayed."""

    name: str
    steps: Iterable[RecordedStep]


Answers = Mapping[Forcing, Act | None]
"""What the player would do at one step; None where the picture has no answer."""


class ReplayClient:
    """A connection over which matches of one game are replayed, one after the other.

    Of several `forcings` each is an agent of its own, so that the player answers all of them in one pass.
    """

    def __init__(
        self,
        url: str,
        spec: GameSpec,
        forcings: Sequence[Forcing] = FORCINGS,
        *,
        pace_hz: float | None = None,
        token: str | None = None,
        backoff: Backoff = IMPATIENT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`pace_hz` None replays as fast as the player answers. Raises `BridgeError`, also where it cannot play it."""
        self.forcings = tuple(forcings)
        self._period_s = 1 / pace_hz if pace_hz else 0.0
        self._clock, self._sleep = clock, sleep
        self._client: BridgeClient = connect(
            url, spec, mode="lockstep", token=token, seed=0, agents=len(self.forcings), backoff=backoff
        )  # fmt: skip

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server says of controls that its player does not know."""
        return self._client.welcome.warnings

    def replay(self, match: Match, on_step: Callable[[RecordedStep, Answers], object]) -> None:
        """Ask the player at each step of a match; `on_step` gets the step and the answers.

        What reading a step raises ends the match, and is raised; another one may follow. Raises `BridgeError` once the
        server is gone.
        """
        before: RecordedStep | None = None
        due = self._clock()
        try:
            for step in match.steps:
                if step.dropped_before:
                    self._end(before)
                    before = None
                if before is None or step.instruction != before.instruction:
                    for agent in range(len(self.forcings)):
                        self._client.instruct(step.instruction, agent=agent)
                on_step(step, self._ask(step, before))
                before, due = step, self._wait(due)
        finally:
            if self._client.is_connected:
                self._end(before)

    def close(self) -> None:
        """Leave the server."""
        self._client.close()

    def __enter__(self) -> ReplayClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ask(self, step: RecordedStep, before: RecordedStep | None) -> Answers:
        agents = dict(enumerate(self.forcings))
        reports = {agent: _report(forcing, step, before) for agent, forcing in agents.items()}
        acts = self._client.act_all(dict.fromkeys(agents, step.frame), reports=reports)
        return {forcing: acts[agent] for agent, forcing in agents.items()}

    def _wait(self, due: float) -> float:
        """Wait for the next step; one that is late delays those after it."""
        now = self._clock()
        due = max(due + self._period_s, now)
        self._sleep(due - now)
        return due

    def _end(self, last: RecordedStep | None) -> None:
        """The match is over, or steps are missing in it: the player forgets what it saw."""
        for agent, forcing in enumerate(self.forcings):
            report = {} if last is None else _done(forcing, last)
            self._client.event(truncated=True, agent=agent, **report)


def _report(forcing: Forcing, step: RecordedStep, before: RecordedStep | None) -> dict[str, Any]:
    """What goes with a picture: the step before it, and the state of the game at it."""
    state = {} if step.state is None else {"state": dict(step.state)}
    return state if before is None else {**_done(forcing, before), **state}


def _done(forcing: Forcing, step: RecordedStep) -> dict[str, Any]:
    """A step as it is reported after it; running freely, its action was the player's own."""
    executed = {"executed": step.executed} if forcing == "teacher_forced" else {}
    return {**executed, "reward": step.reward}

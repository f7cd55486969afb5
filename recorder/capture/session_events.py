"""Session events: what a server tells of an attached game, by shape."""

from __future__ import annotations

from typing import Any, Protocol

from games import Action, GameSpec
from recorder.capture.held_steps import Picture, Report


class Attached(Protocol):
    """A game that has attached; without a policy a person plays."""

    @property
    def spec(self) -> GameSpec: ...
    @property
    def lockstep(self) -> bool: ...
    @property
    def policy(self) -> str | None: ...
    @property
    def owner(self) -> str: ...


class StepReport(Report, Protocol):
    """What a picture says beside its pixels."""

    @property
    def score(self) -> float | None: ...
    @property
    def state(self) -> dict[str, Any] | None: ...


class Observation(Protocol):
    """A picture of a session; None where there was no room for it."""

    @property
    def index(self) -> int: ...
    @property
    def picture(self) -> Picture | None: ...
    @property
    def report(self) -> StepReport: ...
    @property
    def instruction(self) -> str: ...
    @property
    def t_ns(self) -> int: ...


class Decision(Protocol):
    """The policy's answer."""

    @property
    def action(self) -> Action: ...


class Event(Report, Protocol):
    """A reward, or the end of an episode."""

    @property
    def score(self) -> float | None: ...
    @property
    def terminated(self) -> bool: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def success(self) -> bool | None: ...
    @property
    def task(self) -> str: ...

"""Contracts of the window: a recorder that writes what is played, an agent that plays in turn, and time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from games.env import Frame
from games.human.bindings import Bindings
from games.human.recording_light import RecordingStatus
from games.human.typed_line import Style
from games.spec import Action

World = tuple[int, dict[str, Any]]
"""A seed and the options of the environment's `reset`."""
HUMAN, AGENT, NOBODY = "human", "agent", "nobody"
"""Who acts in a step; nobody where a person has not touched anything for long."""


@dataclass(frozen=True)
class PlayedStep:
    """One step; `frame` is what an agent gets, `t_ns` when it came up (monotonic clock)."""

    frame: Frame
    action: Action
    by: str
    agent_action: Action | None
    """What the agent wanted where somebody else acted; None where it was not asked."""
    reward: float
    t_ns: int


class PlayRecorder(Protocol):
    """Records what is played; the window shows its status."""

    @property
    def status(self) -> RecordingStatus: ...

    def begin(self, instruction: str, task: str, seed: int, actor: str) -> None:
        """An episode begins, with the one who plays then."""

    def step(self, step: PlayedStep) -> None: ...

    def text(
        self,
        style: Style,
        text: str,
        *,
        i0: int,
        i1: int | None = None,
        t0_ns: int | None = None,
        source: str = "human_live",
        supersedes: int | None = None,
    ) -> int:
        """A text from step `i0` on; `supersedes` is an earlier one that it replaces. Returns its id."""
        ...

    def event(self, kind: str, **values: Any) -> None:
        """A raw input, or something that happened to the window, before the next step."""

    def end(self, success: bool | None) -> None:
        """The episode has ended; None: the person left it."""

    def discard(self) -> str:
        """Throw the episode under way away, the last one where none has a step; returns which, "" for none."""
        ...


class Copilot(Protocol):
    """An agent that plays in the window in turn with a person."""

    @property
    def name(self) -> str: ...

    def reset(self) -> None:
        """A new episode begins."""

    def act(self, frame: Frame, instruction: str, executed: Action | None) -> Action:
        """The next action; `executed` is what the game did before it, where somebody else decided that."""
        ...


@runtime_checkable
class Detailed(Protocol):
    """An environment that can draw its world finer than its frames, which are every `picture_detail`-th pixel."""

    picture_detail: int


@runtime_checkable
class Smooth(Protocol):
    """An environment that also draws what lies between two steps: people are shown it, and it is never recorded."""

    def frame_between(self, share: float) -> Frame:
        """The picture at a share, 0 to 1, of the way from the one before the last step to the one after it."""
        ...


class Clock(Protocol):
    """Time in seconds."""

    def now(self) -> float: ...
    def wait(self, seconds: float) -> None: ...


class SystemClock:
    """The system's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class PlayOptions:
    """How the window plays."""

    bindings: Bindings | None = None
    """The shipped file's where None."""
    copilot: Copilot | None = None
    """The agent that plays until a key is pressed."""
    countdown_seconds: float = 3.0
    max_steps: int | None = None
    headless: bool = False
    """A window that nobody sees, for tests."""
    size: tuple[int, int] | None = None
    """Width and height; by the game's picture where None."""
    clock: Clock = field(default_factory=SystemClock)

"""Listener contract: everything that an attached game's session sees, decides, does and says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bridges.policy import Decision
from bridges.protocol.fields import Owner
from bridges.protocol.frames import EncodedFrame
from bridges.protocol.messages import Event
from bridges.protocol.step_report import StepReport
from games import GameSpec

TextKind = Literal["instruct", "correct", "say", "answer"]
TextSource = Literal["game", "console", "policy"]


@dataclass(frozen=True)
class Attached:
    """A game that has attached; one without a policy is a recording, and nobody decides."""

    spec: GameSpec
    lockstep: bool
    policy: str | None
    owner: Owner


@dataclass(frozen=True)
class Observation:
    """A picture of a session, with what the game reported of the step before it.

    `index` counts the session's pictures from 0; `t_ns` is the monotonic time at which it came. `picture` is None where
    the listener could not keep up; a recording's is always there.
    """

    index: int
    picture: EncodedFrame | None
    report: StepReport
    instruction: str
    t_ns: int


class EndedEpisode(Protocol):
    """An episode of a recording whose capture is closed, see `messages.RecordState`."""

    @property
    def name(self) -> str: ...
    @property
    def pictures(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def error(self) -> str: ...


class Recorded(Protocol):
    """What has been recorded of a session: episodes, steps, and steps that are missing."""

    @property
    def episodes(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def pictures(self) -> int:
        """So many of the session's pictures are done with."""
        ...

    @property
    def endings(self) -> int:
        """Episodes of a recording that have ended."""
        ...

    @property
    def ended(self) -> Sequence[EndedEpisode]:
        """The newest of them."""
        ...

    @property
    def problems(self) -> int:
        """How often something could not be recorded."""
        ...

    @property
    def problem(self) -> str:
        """What the newest time, in words for the game."""
        ...


class Listener(Protocol):
    """Hears of every session, in order, in a thread of its own: it may take its time, and nothing waits for it.

    A listener that raises is logged and hears nothing more. `session` is the name that the welcome gave. A recording
    waits for the pictures that `recorded` counts.
    """

    @property
    def records(self) -> bool:
        """Whether it keeps what it hears, so that games may come to be recorded."""
        ...

    def on_attach(self, session: str, attached: Attached) -> None: ...

    def on_observation(self, session: str, observation: Observation) -> None: ...

    def on_decision(self, session: str, index: int, decision: Decision | None) -> None:
        """The policy's answer to the observation `index`, None where it failed.

        In order; an observation that a later one overtakes gets none. An answer may come after its episode's end.
        """
        ...

    def on_control(self, session: str, owner: Owner) -> None:
        """Who owns the player from now on."""
        ...

    def on_text(self, session: str, kind: TextKind, text: str, source: TextSource) -> None:
        """An instruction, a correction, a thought, or the policy's answer to a question."""
        ...

    def on_event(self, session: str, event: Event) -> None:
        """A reward, or the end of an episode; `executed` and `input` are legal actions."""
        ...

    def on_lost(self, session: str) -> None:
        """Its connection is lost; where it resumes, steps are missing before the next observation.

        A recording, which misses nothing, is not concerned.
        """
        ...

    def on_leave(self, session: str) -> None: ...

    def close(self) -> None:
        """The server ends; nothing follows."""
        ...

    def recorded(self, session: str) -> Recorded | None:
        """What it has recorded of a session, None where it records nothing; called by another thread, at once."""
        ...

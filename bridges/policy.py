"""What must a brain do to be served? Attach to games, answer a batch of observations, and say things in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from games import Action, Frame, GameSpec


class PolicySession(Protocol):
    """One session's memory, made by `Policy.attach`; opaque to the server."""

    @property
    def spec(self) -> GameSpec: ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """Told to the game at the handshake, such as controls the model does not know."""
        ...

    def reset(self) -> None:
        """Forget: a new episode begins."""
        ...

    def close(self) -> None:
        """The session is over; its memory can be reused."""
        ...


@dataclass(frozen=True)
class Request:
    """One player's newest observation; `executed` is what the game did last step where it reports that."""

    player: PolicySession
    frame: Frame
    instruction: str
    executed: Action | None = None


@dataclass(frozen=True)
class Alternative:
    """Another action in words, with its probability."""

    words: str
    probability: float


@dataclass(frozen=True)
class PlannedAction:
    """What is to be done at a later step, unless a newer decision comes; also in words."""

    action: Action
    words: str


@dataclass(frozen=True)
class Decision:
    """The next action, in words, with its probability as a whole; entropy in nats of its first choice.

    `later` holds the actions of the steps after it, where the policy looks ahead.
    """

    action: Action
    words: str
    probability: float
    alternatives: tuple[Alternative, ...] = ()
    entropy: float = 0.0
    chunk_rest: tuple[PlannedAction, ...] = ()


class Policy(Protocol):
    """A brain for many players; the server calls it from one worker thread only."""

    name: str

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        """Make a player's memory; raises `PolicyError` where the game cannot be played."""
        ...

    def act(self, requests: Sequence[Request]) -> list[Decision]:
        """Decide for all players in one batch."""
        ...

    def ask(self, player: PolicySession, question: str) -> str:
        """Answer "next_action", "why" or "caption" about a player's newest observation."""
        ...

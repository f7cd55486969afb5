"""Policy contract: attach to games, answer a batch of observations, answer questions in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridges.protocol.decision import ActionText, Decision, PlannedAction
from games import Action, Frame, GameSpec

__all__ = [
    "ActionText",
    "Decision",
    "PlannedAction",
    "Policy",
    "PolicyRequest",
    "PolicySession",
    "uses_cameras",
]


class PolicySession(Protocol):
    """State of one game session, made by `Policy.attach`; opaque to the server."""

    @property
    def spec(self) -> GameSpec: ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sent to the game at the handshake, such as controls the model does not know."""
        ...

    def reset(self) -> None:
        """Clear the state: a new episode begins."""
        ...

    def close(self) -> None:
        """Release the state: the session is over."""
        ...


@dataclass(frozen=True)
class PolicyRequest:
    """Newest observation of one session.

    `frame` is RGB (height, width, 3) uint8; `executed` is what the game did in the step before it; None at the
    first step, and where that was the action last decided. `cameras` are the pictures of cameras 1 and on, as far as
    the game sent them.
    """

    player: PolicySession
    frame: Frame
    instruction: str
    executed: Action | None = None
    cameras: Mapping[int, Frame] = field(default_factory=dict)


def uses_cameras(policy: Policy) -> bool:
    """Whether a policy looks at more than camera 0."""
    return bool(getattr(policy, "uses_cameras", False))


class Policy(Protocol):
    """One model for many sessions; the server calls it from a single worker thread.

    One that looks at more than camera 0 has the attribute `uses_cameras`, True; to others `PolicyRequest.cameras` is
    empty.
    """

    name: str

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        """State for a new session; raises `PolicyError` where the game cannot be played."""
        ...

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        """One decision per request, in order, computed as one batch.

        Where it raises, the requests come again with fewer others, at last alone.
        """
        ...

    def ask(self, player: PolicySession, question: str) -> str:
        """Answer one of `QUERY_KINDS` about a session's newest observation."""
        ...

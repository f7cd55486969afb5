"""No policy: a server that records only."""

from __future__ import annotations

from collections.abc import Sequence

from bridges.errors import PolicyError
from bridges.policy import Decision, PolicyRequest, PolicySession
from games import GameSpec


class NoPolicy:
    """Plays no game; it is for the role `record`."""

    name = "none"

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        raise PolicyError(
            "this server has no player, it only records", "attach with role record, or serve a policy"
        )  # fmt: skip

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        raise PolicyError("there is no player")

    def ask(self, player: PolicySession, question: str) -> str:
        raise PolicyError("there is no player")

"""Stub policy: no model, but the time that one takes, for load tests."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bridges.errors import PolicyError
from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.serving.random_policy import RandomPolicy
from games import GameSpec

FAILS = "fail"
"""Instruction on which the stub raises, as a model does that cannot take a request."""


class StubPolicy:
    """Presses nothing; a batch or a question takes `seconds`, and a batch fails where an instruction is `FAILS`."""

    name = "stub"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        return RandomPolicy().attach(spec, seed=seed)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        if self._seconds:  # even a sleep of no time takes some
            time.sleep(self._seconds)
        if any(request.instruction == FAILS for request in requests):
            raise PolicyError("this request cannot be decided")
        return [_nothing(request.player.spec) for request in requests]

    def ask(self, player: PolicySession, question: str) -> str:
        time.sleep(self._seconds)
        return "nothing"


def _nothing(spec: GameSpec) -> Decision:
    return Decision(action=spec.null_action(), words="nothing", probability=1.0)

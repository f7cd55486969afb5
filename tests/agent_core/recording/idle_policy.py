"""A policy that does nothing, and a program that lets it play in a person's window."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from agent_core.recording.human import HumanPlan, record_human
from bridges.policy import Decision, PolicyRequest
from bridges.serving.random_policy import RandomPolicy


class IdlePolicy(RandomPolicy):
    """An agent that does nothing."""

    name = "idle"

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        return [Decision(action={}, words="", probability=1.0) for _ in requests]


def main(game: str, out: str) -> None:
    """Record a game with this agent, without a countdown, and print the report."""
    plan = HumanPlan(Path(out), game, "xdotool", countdown_seconds=0.0)
    print(json.dumps(record_human(plan, IdlePolicy())))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Copilot: a policy as the agent that plays in a person's window."""

from __future__ import annotations

from bridges.policy import Policy, PolicyRequest
from games import Action, Frame, GameSpec


class PolicyCopilot:
    """One session of a policy, asked a step at a time; raises `PolicyError` for a game that it cannot play."""

    def __init__(self, policy: Policy, spec: GameSpec) -> None:
        self.name = policy.name
        self._policy, self._spec = policy, spec
        self._player = policy.attach(spec)

    def reset(self) -> None:
        """A new episode begins."""
        self._player.reset()

    def act(self, frame: Frame, instruction: str, executed: Action | None) -> Action:
        """The next action, a legal one of the game's."""
        request = PolicyRequest(self._player, frame, instruction, executed)
        return self._spec.normalize(self._policy.act([request])[0].action)

    def close(self) -> None:
        """Free the session's slot."""
        self._player.close()

"""Shipped agents: one policy of all checkpoints in the package, each for the games that it was trained for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from agent_core.agent import Agent, AgentPlayer, require_own_player
from agent_core.engine.engine import Engine
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, shipped_checkpoint
from bridges.policy import Decision, PolicyRequest, PolicySession
from games import GameSpec


class ShippedAgents:
    """The default checkpoint is loaded at once, another with the first game that is its own."""

    def __init__(self, load: Callable[[Path], Agent]) -> None:
        self._load = load
        self._agents = {DEFAULT_CHECKPOINT: load(DEFAULT_CHECKPOINT)}
        self.name = self._agents[DEFAULT_CHECKPOINT].name

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> AgentPlayer:
        """A session of the game's own checkpoint; raises `PolicyError` and `CheckpointError` as `Agent` does."""
        path = shipped_checkpoint(spec.name)
        if path not in self._agents:
            self._agents[path] = self._load(path)
        return self._agents[path].attach(spec, seed=seed)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        """The next action of every session, one batch for each checkpoint."""
        engines = [require_own_player(request.player).engine for request in requests]
        decisions: dict[int, Decision] = {}
        for agent in self._agents.values():
            rows = [n for n, engine in enumerate(engines) if agent.plays_with(engine)]
            decisions |= zip(rows, agent.act([requests[n] for n in rows]), strict=True)
        return [decisions[n] for n in range(len(requests))]

    def ask(self, player: PolicySession, question: str) -> str:
        """As `Agent.ask`."""
        return self._agent_of(require_own_player(player).engine).ask(player, question)

    def _agent_of(self, engine: Engine) -> Agent:
        return next(agent for agent in self._agents.values() if agent.plays_with(engine))

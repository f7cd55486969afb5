"""Agents: the sessions of a game that has several players on one connection."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from bridges.policy import Policy, PolicySession
from bridges.protocol.messages import Hello
from bridges.serving.rate import Rate
from bridges.serving.sessions import Session
from games import GameSpec


def attach_agents(policy: Policy, spec: GameSpec, hello: Hello) -> list[PolicySession]:
    """A state of the policy for each agent of a game, all or none; raises what `Policy.attach` raises."""
    players: list[PolicySession] = []
    try:
        for number in range(hello.agents):
            seed = None if hello.seed is None else hello.seed + number
            players.append(policy.attach(spec, seed=seed))
    except BaseException:
        for player in players:
            player.close()
        raise
    return players


def sessions_beside(first: Session, players: Iterable[PolicySession]) -> list[Session]:
    """New sessions of agent 1 and on, which begin as agent 0's did."""
    return [
        replace(
            first,
            name=uuid.uuid4().hex[:8],
            player=player,
            agent=number,
            queue=deque(),
            rate=Rate(),
        )
        for number, player in enumerate(players, 1)
    ]

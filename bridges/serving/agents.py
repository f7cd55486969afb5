"""Agents: the sessions of a game that has several players on one connection, which come, go and resume together."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from bridges.errors import PolicyError
from bridges.policy import Policy, PolicySession
from bridges.protocol.mailbox import Resumption
from bridges.protocol.messages import ErrorMessage, Hello
from bridges.serving.batcher import Batcher, BusyError
from bridges.serving.gathering import Gathering
from bridges.serving.outbox import Outbox
from bridges.serving.peer import Peer
from bridges.serving.rate import Rate
from bridges.serving.recordings import RecordedPlayer
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


async def players_of(
    peer: Peer, hello: Hello, policy: Policy, batcher: Batcher
) -> list[PolicySession] | None:
    """States of the policy for a game's agents, none of it for a recording; None where it is refused, or gone."""
    spec = hello.spec
    assert spec is not None
    if hello.role == "record":
        return [RecordedPlayer(spec)]
    try:
        players = await batcher.call(
            lambda: attach_agents(policy, spec, hello), is_wanted=peer.is_there
        )
    except PolicyError as error:
        hint = error.hint or "declare meanings for the controls (see `iafm games voxel`)"
        peer.refuse(ErrorMessage(code="unplayable", message=str(error), hint=hint), 4400)
        return None
    except BusyError as error:
        peer.refuse(ErrorMessage(code="too_many", message=str(error)), 4429)
        return None
    if players is not None and not peer.is_there():
        for player in players:
            batcher.release(player)
        return None
    return players


def sessions_beside(first: Session, players: Sequence[PolicySession]) -> list[Session]:
    """New sessions of agent 1 and on, which begin as agent 0's did; in lockstep they are answered together."""
    first.has_others = bool(players)
    if players and first.lockstep:
        first.gathering = Gathering()
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


def may_resume(sessions: Sequence[Session], hello: Hello) -> bool:
    """Whether a hello goes on with these sessions: as many agents of the same game in the same mode."""
    lockstep = hello.mode == "lockstep"
    return len(sessions) == hello.agents and all(
        (session.player.spec, session.lockstep) == (hello.spec, lockstep)
        and (session.lane is not None) == (hello.role == "record")
        for session in sessions
    )


def resume_agents(sessions: Sequence[Session], peer: Outbox, now: float) -> Resumption:
    """Go on with another connection, which gets what waits for the earlier one."""
    resumption = sessions[0].resumption
    assert resumption is not None
    observations = tuple(session.resume(peer, now) for session in sessions)
    return replace(resumption, resumed=True, observations=observations)

"""Detached sessions: the key by which sessions outlive their connection, and when their time is over."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Protocol, TypeVar

from bridges.protocol.mailbox import CAPACITY, Mailbox, Resumption
from bridges.protocol.messages import Hello
from bridges.protocol.record_lane import RecordLane


class Detachable(Protocol):
    """A session that may have lost its connection."""

    @property
    def resumption(self) -> Resumption | None: ...
    @property
    def detached_at(self) -> float | None: ...


_S = TypeVar("_S", bound=Detachable)


def new_resumption(hello: Hello, lane: RecordLane | None) -> Resumption | None:
    """A key that nobody can guess, and an empty mailbox, for all agents together; None where nobody asks."""
    if not hello.resumable:
        return None
    lockstep = hello.mode == "lockstep" or lane is not None
    mailbox = Mailbox(lockstep=lockstep, capacity=CAPACITY * hello.agents)
    return Resumption(secrets.token_urlsafe(24), mailbox, lane=lane)


def expired(sessions: Iterable[_S], now: float, resume_s: float, most: int) -> list[_S]:
    """Those detached for `resume_s` seconds, and of more than `most` those that were detached first.

    The agents of a connection stay or go together.
    """
    connections: dict[tuple[float, str], list[_S]] = {}
    for session in sessions:
        if session.detached_at is not None and session.resumption is not None:
            connection = (session.detached_at, session.resumption.key)
            connections.setdefault(connection, []).append(session)
    ended: list[_S] = []
    count = 0
    for since, key in sorted(connections, reverse=True):
        agents = connections[since, key]
        count += len(agents)
        if now - since > resume_s or count > most:
            ended += agents
    return ended

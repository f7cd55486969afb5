"""Queries: questions about sessions, which the policy answers between two passes."""

from __future__ import annotations

import logging

from bridges.errors import PolicyError
from bridges.policy import Policy
from bridges.protocol.messages import Answer, ErrorMessage, Query
from bridges.serving.batcher import Batcher, BusyError
from bridges.serving.listener_threads import Listeners
from bridges.serving.peer import Peer
from bridges.serving.recordings import NOBODY_DECIDES
from bridges.serving.sessions import SessionRegistry, UnknownSessionError

log = logging.getLogger("iafm.bridge")


class Queries:
    """Answers the queries of all peers."""

    def __init__(
        self, policy: Policy, batcher: Batcher, sessions: SessionRegistry, listeners: Listeners
    ) -> None:
        self.errors = 0
        self._policy, self._batcher = policy, batcher
        self._sessions, self._listeners = sessions, listeners

    async def answer(self, peer: Peer, query: Query) -> None:
        """Ask the policy, unless the peer is gone before its turn."""
        try:
            name = query.session or (peer.watcher.session if peer.watcher else None)
            session = peer.session_of(query.agent) or self._sessions.find(name)
        except UnknownSessionError as error:
            problem = ErrorMessage(
                code="no_session", message=str(error), path="session", id=query.id
            )
            peer.send(problem)
            return

        if session.lane is not None:
            peer.send(NOBODY_DECIDES.model_copy(update={"id": query.id}))
            return

        def ask() -> str:
            return self._policy.ask(session.player, query.kind)

        try:
            text = await self._batcher.call(ask, session, is_wanted=lambda: self._is_wanted(peer))
            if text is not None:
                peer.outbox.send(Answer(id=query.id, kind=query.kind, text=text))
                self._listeners.on_text(session.name, "answer", text, "policy")
        except BusyError as error:
            problem = ErrorMessage(code="too_many", message=str(error), id=query.id)
            peer.outbox.send(problem)
        except Exception as error:
            self.errors += 1
            log.exception("the policy could not answer %s", query.kind)
            reason = str(error) if isinstance(error, PolicyError) else "the policy could not answer"
            problem = ErrorMessage(code="policy_failed", message=reason, id=query.id)
            peer.outbox.send(problem)

    def _is_wanted(self, peer: Peer) -> bool:
        """Whether anybody waits for the answer to a peer's query: itself, or who may resume its session."""
        session = peer.session
        if session is None or session.resumption is None:
            return peer.is_there()
        return self._sessions.get(session.name) is session

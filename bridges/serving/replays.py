"""Replays: games that consoles may pause, step and scrub, since their hello says so."""

from __future__ import annotations

from bridges.protocol.messages import ErrorMessage
from bridges.protocol.replay_messages import Replay, ReplayProgress, ReplayState
from bridges.serving.outbox import Outbox
from bridges.serving.sessions import Session

NO_REPLAY = ErrorMessage(
    code="not_allowed", message="this game is no replay", hint='its hello needs "replay": true'
)


def update_replay(session: Session, state: ReplayState) -> None:
    """Take what a game says of its replay, or refuse it where its hello did not announce one."""
    if session.replay is None:
        session.peer.send(NO_REPLAY.model_copy(update={"agent": session.agent}))
    else:
        session.replay = ReplayProgress.model_validate(state.model_dump())


def pass_on_replay(session: Session, message: Replay, console: Outbox) -> None:
    """Pass a console's wish on to a replay; other games never hear of one."""
    if session.replay is None:
        console.send(NO_REPLAY)
    else:
        origin = {"session": session.name, "agent": session.agent}
        session.peer.send(message.model_copy(update=origin))

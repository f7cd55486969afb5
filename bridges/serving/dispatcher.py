"""Dispatcher: what each message does to sessions, policy and consoles; the websockets are elsewhere."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Coroutine, Iterable
from typing import Any

from bridges.errors import PolicyError
from bridges.listener import Attached, Listener, Observation
from bridges.policy import Policy, uses_cameras
from bridges.protocol.act import act_message
from bridges.protocol.cameras import camera_warnings
from bridges.protocol.connection import FromPerson, Received
from bridges.protocol.fields import Source
from bridges.protocol.frames import EncodedFrame, FrameError, size_warnings
from bridges.protocol.mailbox import Mailbox, Resumption
from bridges.protocol.messages import (
    Control,
    Correct,
    ErrorMessage,
    Event,
    Hello,
    Instruct,
    Query,
    Say,
    State,
    Subscribe,
)
from bridges.protocol.record_lane import RecordLane
from bridges.protocol.replay_messages import Replay, ReplayProgress, ReplayState
from bridges.serving.agents import may_resume, players_of, resume_agents, sessions_beside
from bridges.serving.batcher import Batcher
from bridges.serving.console_pictures import PictureBroadcast
from bridges.serving.detached import new_resumption
from bridges.serving.http import Health
from bridges.serving.limits import ServerLimits
from bridges.serving.listener_threads import Listeners
from bridges.serving.outcomes import CompletedObservation, FailedObservation
from bridges.serving.peer import Peer
from bridges.serving.queries import Queries
from bridges.serving.recordings import NOBODY_DECIDES, NOT_RECORDING, Recordings
from bridges.serving.replays import pass_on_replay, update_replay
from bridges.serving.sessions import (
    Session,
    SessionRegistry,
    UnknownSessionError,
    Watcher,
)

log = logging.getLogger("iafm.bridge")
LOST = {1006, 4504}
"""How a connection ends whose session may be resumed."""


class Dispatcher:
    """One policy, its sessions and their consoles."""

    def __init__(
        self, policy: Policy, limits: ServerLimits, listeners: Iterable[Listener] = (),
        sessions: SessionRegistry | None = None,
    ) -> None:  # fmt: skip
        self.sessions = SessionRegistry() if sessions is None else sessions
        self._policy, self._limits = policy, limits
        self._uses_cameras = uses_cameras(policy)
        self._batcher = Batcher(policy, self.sessions, self._on_answer, self._on_failure)
        self._pictures = PictureBroadcast(self.sessions, limits, self._start)
        self._listeners = Listeners(listeners)
        self._recordings = Recordings(self.sessions, self._listeners)
        self._queries = Queries(policy, self._batcher, self.sessions, self._listeners)
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered = self._errors = 0
        self._changed = False
        self._reported_at = float("-inf")

    def start(self) -> None:
        """Begin to answer; in a running event loop."""
        self._listeners.start()
        self._recordings.start()
        self._batcher.start()

    def close(self) -> None:
        """Stop answering."""
        for task in self._tasks:
            task.cancel()
        self._batcher.close()
        self._pictures.close()
        self._recordings.close()
        self._listeners.close()

    def health(self, now: float) -> Health:
        """Figures for `/healthz` and `/metrics`."""
        loop = self._batcher.health(now, self._limits.stuck_s)
        return Health(
            status=loop.status,
            policy=self._policy.name,
            sessions=len(self.sessions),
            answered=self._answered,
            dropped=self.sessions.dropped,
            waiting=loop.waiting,
            errors=loop.errors + self._errors + self._queries.errors,
            last_pass_s=loop.last_pass_s,
        )

    def state(self, now: float) -> State:
        """All attached games with their tallies."""
        return State(
            policy=self._policy.name,
            sessions=tuple(
                session.state(now, self._listeners.recording(session.name))
                for session in self.sessions
            ),
        )

    def report(self, now: float) -> None:
        """Send the consoles fresh figures, where something changed or it is time."""
        changed = self._changed or self._recordings.changed
        if changed or now - self._reported_at >= self._limits.report_s:
            self._changed = self._recordings.changed = False
            self._reported_at = now
            if self.sessions.watchers:
                self.sessions.broadcast(self.state(now).model_dump_json())

    def tick(self, now: float) -> None:
        """End the sessions that nobody resumed in time, and tell recordings what they may send."""
        for session in self.sessions.take_expired(
            now, self._limits.resume_s, self._limits.detached
        ):
            self._release(session)
        self._recordings.poll(all_of_it=True)

    # --- peers ---

    async def receive(self, peer: Peer, message: Received, now: float) -> None:
        """Do what a message asks for; only a hello waits for the policy."""
        if isinstance(message, Hello):
            await self._open(peer, message, now)
        elif isinstance(message, Query):
            self._start(self._queries.answer(peer, message))
        elif session := peer.session_of(getattr(message, "agent", 0)):
            self._from_game(session, message, now)
        else:
            self._from_console(peer, message)

    def leave(self, peer: Peer) -> None:
        """The peer's connection is over; its session stays for a while where it can be resumed."""
        if peer.watcher is not None:
            self.sessions.watchers.discard(peer.watcher)
        now, is_lost = time.monotonic(), peer.connection.close_code in LOST
        for session in peer.sessions:
            if session.peer is not peer:
                continue  # another connection has taken it over
            if session.resumption is not None and is_lost:
                session.detach(now)
                if session.lane is None:
                    self._listeners.on_lost(session.name)
                self._changed = True
                log.info("%s lost its connection", session.name)
            else:
                self.sessions.remove(session)
                self._release(session)

    def _release(self, session: Session) -> None:
        self._batcher.release(session.player)
        self._recordings.release(session)
        self._listeners.on_leave(session.name)
        self._changed = True
        log.info("%s left", session.name)

    async def _open(self, peer: Peer, hello: Hello, now: float) -> None:
        if hello.role in ("play", "record"):
            if not self._resume(peer, hello, now):
                await self._attach(peer, hello, now)
            return
        peer.watcher = Watcher(peer)
        if hello.role == "watch":
            self.sessions.watchers.add(peer.watcher)
        peer.connection.accept(session="", policy=self._policy.name, instruction="", warnings=())
        peer.send(self.state(now))

    def _resume(self, peer: Peer, hello: Hello, now: float) -> bool:
        """Go on with the sessions of the hello's key; their connection until now, where there is one, ends."""
        sessions = self.sessions.find_resumable(hello.resume) if hello.resume else []
        if not may_resume(sessions, hello):
            return False
        peer.session, *peer.others = sessions
        before = peer.session.peer
        resumption = resume_agents(sessions, peer, now)
        before.close(4409, "another connection resumed this session")
        self._changed = True
        log.info("%s resumed", peer.session.name)
        self._accept(peer, peer.session, hello, resumption)
        return True

    def _accept(
        self, peer: Peer, session: Session, hello: Hello, resumption: Resumption | None
    ) -> None:
        player = session.player
        if resumption is None and session.lane is not None:
            resumption = Resumption("", Mailbox(lockstep=True, capacity=0), lane=session.lane)
        cameras = camera_warnings(
            hello.cameras, are_seen=self._uses_cameras, is_recording=self._listeners.records
        )
        peer.connection.accept(
            session=session.name,
            policy=self._policy.name if session.lane is None else "",
            instruction=session.instruction,
            warnings=(*player.warnings, *size_warnings(player.spec.frame), *cameras),
            owner=session.owner,
            resume=resumption,
        )

    async def _attach(self, peer: Peer, hello: Hello, now: float) -> None:
        """A new session of the policy, or an error where it cannot play the game."""
        spec = hello.spec
        assert spec is not None
        if len(self.sessions) + hello.agents > self._limits.sessions:
            reason = f"at most {self._limits.sessions} agents are attached at once"
            peer.refuse(ErrorMessage(code="too_many", message=reason), 4429)
            return
        if hello.role == "record" and not self._listeners.records:
            peer.refuse(NOT_RECORDING, 4400)
            return
        lane = RecordLane(self._limits.record_window) if hello.role == "record" else None
        owner = hello.owner if lane is None else "human"
        players = await players_of(peer, hello, self._policy, self._batcher)
        if players is None:
            return
        player, *others = players
        peer.session = Session(
            name=uuid.uuid4().hex[:8], player=player, peer=peer, lockstep=hello.mode == "lockstep",
            instruction=hello.instruction, tasks=hello.tasks, owner=owner, step_owner=owner,
            resumption=new_resumption(hello, lane), lane=lane, attached_at=now,
            replay=ReplayProgress() if hello.replay else None,
        )  # fmt: skip
        self.sessions.add(peer.session)
        peer.others = sessions_beside(peer.session, others)
        for session in peer.others:
            self.sessions.add(session)
        for session in peer.sessions:
            policy = self._policy.name if lane is None else None
            attached = Attached(spec, session.lockstep, policy, owner)
            self._listeners.on_attach(session.name, attached)
        if lane is not None:
            self._recordings.add(peer.session)
        self._changed = True
        log.info("%s attached as %s (%s)", spec.id, peer.session.name, hello.mode)
        self._accept(peer, peer.session, hello, peer.session.resumption)

    def _from_game(self, session: Session, message: Received, now: float) -> None:
        match message:
            case EncodedFrame():
                self._observe(session, message, now)
            case Control():
                session.peer.send(self._from_person(session, message, "game"))
            case Instruct() | Correct() | Say():
                self._from_person(session, message, "game")
            case Event(terminated=terminated, truncated=truncated):
                self._listeners.on_event(session.name, message)
                if terminated or truncated:
                    self._end_episode(session, message)
            case ReplayState():
                update_replay(session, message)
                self._changed = True

    def _observe(self, session: Session, encoded: EncodedFrame, now: float) -> None:
        """A new observation, by which a person may take over."""
        if session.lane is not None:
            self._recordings.observe(session, encoded, now)
            self._pictures.show(session, encoded, encoded.decode, now)
            return
        if session.take_over(encoded):
            session.peer.send(self._from_person(session, Control(owner="human"), "game"))
        alone = encoded.without_cameras()
        seen = Observation(
            session.received, alone, encoded.report, session.current_instruction, int(1e9 * now)
        )
        self._listeners.on_observation(session.name, seen)
        session.enqueue(encoded if self._uses_cameras else alone, now)
        self._batcher.notify()

    def _from_console(self, peer: Peer, message: Received) -> None:
        assert peer.watcher is not None
        try:
            match message:
                case Subscribe(session=name, pictures=pictures):
                    if name is not None:
                        self.sessions.find(name)
                    peer.watcher.session, peer.watcher.pictures = name, pictures
                case Replay(session=name):
                    pass_on_replay(self.sessions.find(name or peer.watcher.session), message, peer)
                case Instruct() | Control() | Correct() | Say():
                    session = self.sessions.find(message.session or peer.watcher.session)
                    if isinstance(message, Control) and session.lane is not None:
                        peer.send(NOBODY_DECIDES)
                        return
                    message = self._from_person(session, message, "console")
                    session.peer.send(message)
                    if peer.watcher not in self.sessions.watchers_of(session):
                        peer.send(message)
        except UnknownSessionError as error:
            peer.send(ErrorMessage(code="no_session", message=str(error), path="session"))

    # --- sessions ---

    def _from_person(self, session: Session, message: FromPerson, source: Source) -> FromPerson:
        """Do what a person at the game or a console asks for; returns what the consoles got.

        An instruction, or another owner, counts from the next observation on.
        """
        match message:
            case Instruct(text=text, release=release):
                session.instruct(text, from_console=source == "console", release=release)
                self._changed = True
                message = message.model_copy(update={"text": session.current_instruction})
            case Control(owner=owner):
                session.owner, self._changed = owner, True
        if isinstance(message, Control):
            self._listeners.on_control(session.name, message.owner)
        else:
            self._listeners.on_text(session.name, message.type, message.text, source)
        origin = {"session": session.name, "agent": session.agent, "source": source}
        message = message.model_copy(update=origin)
        self.sessions.broadcast_of(session, message)
        return message

    def _end_episode(self, session: Session, event: Event) -> None:
        """Count it; in lockstep, what still waited is answered with an error."""
        for observation in session.end_episode(success=event.success):
            if session.lockstep:
                reason = "its episode ended before it was answered"
                number = observation.encoded.number
                session.peer.send(
                    ErrorMessage(
                        code="episode_over", message=reason, observation=number, agent=session.agent
                    )
                )
        self._changed = True
        self.sessions.broadcast_of(session, event.model_copy(update={"session": session.name}))

    # --- answers ---

    def _on_answer(self, completed: CompletedObservation) -> None:
        session, now = completed.session, time.monotonic()
        if self.sessions.get(session.name) is not session or session.is_late(completed.observation):
            return
        self._listeners.on_decision(session.name, completed.observation.index, completed.decision)
        act = act_message(
            completed.decision,
            session=session.name,
            observation=completed.observation.encoded.number,
            step_hz=session.player.spec.step_hz,
            latency=completed.latency(now),
            dropped=session.dropped,
            owner=session.owner,
            agent=session.agent,
        )
        session.peer.send(act)
        session.answered(now)
        self._answered += 1
        if self.sessions.watchers:
            self._show(completed, act.model_dump_json(), now)

    def _show(self, completed: CompletedObservation, act: str, now: float) -> None:
        """Send consoles the answer, and its picture where one is due."""
        self.sessions.broadcast_of(completed.session, act)
        encoded = completed.observation.encoded
        self._pictures.show(completed.session, encoded, lambda: completed.frame, now)

    def _on_failure(self, failed: FailedObservation) -> None:
        session, error = failed.work.session, failed.error
        self._listeners.on_decision(session.name, failed.work.observation.index, None)
        is_damaged = isinstance(error, FrameError)
        public = is_damaged or isinstance(error, PolicyError)
        code = "bad_picture" if is_damaged else "policy_failed"
        reason = str(error) if public else "the policy failed"
        number = failed.work.observation.encoded.number
        session.peer.send(
            ErrorMessage(code=code, message=reason, observation=number, agent=session.agent)
        )
        if session.failures >= self._limits.max_failures:
            session.peer.close(4400, f"{session.failures} pictures in a row failed: {reason}")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in the background; a fault is logged and counted."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._errors += 1
            log.error("background work failed", exc_info=error)

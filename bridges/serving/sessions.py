"""Session registry: the attached games and the consoles, without sockets and without a clock.

It holds what waits (newest observation wins in realtime, all wait in lockstep), the tallies, and who sees what. An
instruction belongs to the observations that come after it, and the end of an episode ends all that still wait. A
person, the agent or both own a player; while they share it, whatever a person presses makes it the person's.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from bridges.policy import PolicySession
from bridges.protocol.fields import Owner
from bridges.protocol.frames import EncodedFrame
from bridges.protocol.mailbox import Resumption
from bridges.protocol.messages import SessionState
from bridges.protocol.record_lane import RecordLane
from bridges.protocol.record_messages import Recording
from bridges.protocol.replay_messages import ReplayProgress
from bridges.serving.detached import expired
from bridges.serving.gathering import Gathering, rests_s
from bridges.serving.outbox import AbsentPeer, Outbox
from bridges.serving.queued_observation import QueuedObservation
from bridges.serving.rate import Rate
from games import Action, Frame

MAX_PROBATION = 1000
"""Most answers in passes of its own after the policy failed on a session."""


class UnknownSessionError(LookupError):
    """No such session; the message names those there are."""


@dataclass(frozen=True)
class Work:
    """A session's next observation; `is_first` where a new episode begins with it."""

    session: Session
    observation: QueuedObservation
    is_first: bool


@dataclass(eq=False)
class Session:
    """An attached game: its state at the policy, what waits, and its tally."""

    name: str
    player: PolicySession
    peer: Outbox
    lockstep: bool
    instruction: str
    """What the game asks for."""
    tasks: tuple[str, ...] = ()
    queue: deque[QueuedObservation] = field(default_factory=deque)
    received: int = 0
    """Observations so far."""
    dropped: int = 0
    episodes: int = 0
    successes: int = 0
    unjudged: int = 0
    """Episodes that ended without a verdict."""
    failures: int = 0
    """Observations in a row that failed."""
    probation: int = 0
    """Answers until it shares a pass with others again, after the policy failed on it."""
    policy_failures: int = 0
    decode_s: float = 0.0
    """Use of the decoder, see `DecodeTurns`."""
    rate: Rate = field(default_factory=Rate)
    """Of its answers."""
    reset_due: bool = False
    shown_at: float = float("-inf")
    """Time of the newest picture for consoles, in seconds of the monotonic clock."""
    console_instruction: str | None = None
    """What a console asks for instead, until it is released."""
    owner: Owner = "agent"
    agent: int = 0
    """Its number on its connection."""
    has_others: bool = False
    gathering: Gathering | None = None
    """Of a lockstep game with several agents."""
    step_owner: Owner = "agent"
    """Who owned the player when the newest observation came."""
    resumption: Resumption | None = None
    """Of a session that can be resumed."""
    last_observation: int | None = None
    """Number of the newest observation."""
    lane: RecordLane | None = None
    """Of a recording, which no policy plays."""
    replay: ReplayProgress | None = None
    """Of a replay, whose episodes, wherever it is scrubbed, do not count."""
    attached_at: float = float("-inf")
    """When its connection came, in seconds of the monotonic clock."""
    detached_at: float | None = None
    """When its connection was lost; None while there is one."""

    @property
    def current_instruction(self) -> str:
        """What the next observations are for."""
        console = self.console_instruction
        return self.instruction if console is None else console

    def instruct(self, text: str, *, from_console: bool, release: bool = False) -> None:
        """Set the game's own instruction, or a console's, which goes before it until `release`."""
        if not from_console:
            self.instruction = text
        if from_console or release:
            self.console_instruction = None if release else text

    def take_over(self, encoded: EncodedFrame) -> bool:
        """Whether a person pressed something before this observation and so takes a shared player over."""
        pressed = encoded.report.input
        at_rest = pressed is None or pressed == self.player.spec.null_action()
        if self.owner != "shared" or at_rest:
            return False
        self.owner = self.step_owner = "human"
        return True

    def _executed(self, encoded: EncodedFrame) -> Action | None:
        """What was done in the step before: what the game says, or what a person who owned the player pressed."""
        report = encoded.report
        if report.executed is not None or self.step_owner != "human":
            return report.executed
        return self.player.spec.null_action() if report.input is None else report.input

    def enqueue(self, encoded: EncodedFrame, now: float) -> None:
        """Add an observation, for the instruction of now.

        In realtime it replaces those still waiting; one that is or is being decoded is replaced once this one is.
        """
        executed, self.step_owner = self._executed(encoded), self.owner
        observation = QueuedObservation(
            encoded, self.current_instruction, now, self.owner, self.received, executed
        )
        if not self.lockstep:
            self._replace(lambda old: observation.is_ready or not (old.is_ready or old.is_decoding))
        self.queue.append(observation)
        if self.gathering is not None:
            self.gathering.arrived(self.agent, now)
        self.received += 1
        self.last_observation = encoded.number

    def _replace(self, is_replaced: Callable[[QueuedObservation], bool]) -> None:
        """Drop and count waiting observations."""
        remaining = [old for old in self.queue if not is_replaced(old)]
        self.dropped += len(self.queue) - len(remaining)
        self.queue = deque(remaining)

    def next_to_decode(self) -> QueuedObservation | None:
        """The observation whose pixels are wanted next: in lockstep the oldest, in realtime the newest."""
        if not self.queue or any(observation.is_decoding for observation in self.queue):
            return None
        observation = self.queue[0 if self.lockstep else -1]
        return None if observation.is_ready else observation

    def decoded(
        self, observation: QueuedObservation, frame: Frame, cameras: Mapping[int, Frame]
    ) -> bool:
        """Its pixels are there; False where it is not wanted any more."""
        if observation not in self.queue:
            return False
        observation.is_decoding = False
        observation.frame, observation.cameras = frame, cameras
        if not self.lockstep:
            self._replace(lambda old: old.received < observation.received)
        return True

    def discard(self, observation: QueuedObservation) -> bool:
        """It cannot be decoded; False where it was not wanted any more."""
        if observation not in self.queue:
            return False
        self.queue.remove(observation)
        return True

    @property
    def is_ready(self) -> bool:
        """Whether a pass may take its oldest observation."""
        return bool(self.queue) and self.queue[0].is_ready

    def take(self) -> Work:
        """The oldest waiting observation."""
        return Work(self, self.queue.popleft(), self.take_reset())

    def take_reset(self) -> bool:
        """Whether the policy's state must be cleared before it is used again; asking settles it."""
        due, self.reset_due = self.reset_due, False
        return due

    def detach(self, now: float) -> None:
        """Its connection is lost: keep what must arrive, and nothing that would be late."""
        assert self.resumption is not None
        self.peer, self.detached_at = AbsentPeer(self.resumption.mailbox), now
        if not self.lockstep:
            self.dropped += len(self.queue)
            self.queue.clear()

    def resume(self, peer: Outbox, now: float) -> int | None:
        """Go on with another connection; returns the number of the newest observation in lockstep."""
        self.peer, self.attached_at, self.detached_at = peer, now, None
        if self.lane is not None:
            return self.lane.received or None
        return self.last_observation if self.lockstep else None

    def is_late(self, observation: QueuedObservation) -> bool:
        """Whether its answer is worth nothing any more: it was sent over an earlier connection, in realtime."""
        return not self.lockstep and observation.received < self.attached_at

    def end_episode(self, *, success: bool | None) -> list[QueuedObservation]:
        """Count an episode (None: without a verdict); returns the observations that will not be answered any more."""
        if self.replay is None:
            self.episodes += 1
            self.successes += success is True
            self.unjudged += success is None
        self.reset_due = True
        ended = list(self.queue)
        self.queue.clear()
        self.dropped += len(ended)
        self._settled(len(ended))
        return ended

    def _settled(self, observations: int) -> None:
        """So many wait no more for their answers."""
        if self.gathering is not None:
            self.gathering.settled(self.agent, observations)

    def failed(self, *, by_policy: bool) -> None:
        """Count an observation without an answer; each failure of the policy doubles its time in passes of its own."""
        self.failures += 1
        self._settled(1)
        if by_policy:
            self.policy_failures += 1
            self.probation = min(2 ** (self.policy_failures - 1), MAX_PROBATION)

    def answered(self, now: float) -> None:
        """Count an answer."""
        self.failures = 0
        self._settled(1)
        self.probation = max(0, self.probation - 1)
        self.rate.count(now)

    def take_picture_due(self, now: float, hz: float) -> bool:
        """Whether consoles have had no picture for `1 / hz` seconds; asking settles it."""
        if now - self.shown_at < 1 / hz:
            return False
        self.shown_at = now
        return True

    def state(self, now: float, recording: Recording | None = None) -> SessionState:
        return SessionState(
            session=self.name,
            role="play" if self.lane is None else "record",
            game=self.player.spec.id,
            title=f"Player {self.agent + 1}: " * self.has_others + self.player.spec.title,
            instruction=self.current_instruction,
            instructed_by="game" if self.console_instruction is None else "console",
            tasks=self.tasks,
            episodes=self.episodes,
            successes=self.successes,
            unjudged=self.unjudged,
            hz=round(self.rate.hz(now), 1),
            dropped=self.dropped,
            owner=self.owner,
            connected=self.detached_at is None,
            recording=recording,
            replay=self.replay,
        )


@dataclass(eq=False)
class Watcher:
    """A console; `session` None follows the newest."""

    peer: Outbox
    session: str | None = None
    pictures: bool = True
    """Whether somebody sees its pictures."""


class SessionRegistry:
    """Attached games in the order in which they came, and the consoles that watch them."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self.watchers: set[Watcher] = set()

    def add(self, session: Session) -> None:
        self._sessions[session.name] = session

    def remove(self, session: Session) -> None:
        """It has left; its pictures go at once, whoever still holds the session."""
        self._sessions.pop(session.name, None)
        session.queue.clear()

    def get(self, name: str | None) -> Session | None:
        """A session by name, the newest for None; None where there is no such session."""
        if name is not None:
            return self._sessions.get(name)
        return next(reversed(self._sessions.values()), None)

    def find(self, name: str | None) -> Session:
        """As `get`; raises `UnknownSessionError`."""
        if session := self.get(name):
            return session
        names = ", ".join(map(repr, self._sessions))
        others = f"there are {names}" if names else "no game is attached yet"
        raise UnknownSessionError(others if name is None else f"no session {name!r}; {others}")

    def find_resumable(self, key: str) -> list[Session]:
        """The sessions of a key, one for each agent; all keys are compared, in constant time."""
        return [
            session
            for session in self
            if session.resumption
            and hmac.compare_digest(session.resumption.key.encode(), key.encode())
        ]

    def take_expired(self, now: float, resume_s: float, most: int) -> list[Session]:
        """Remove the detached sessions whose time is over, see `detached.expired`."""
        ended = expired(self, now, resume_s, most)
        for session in ended:
            self.remove(session)
        return ended

    @property
    def dropped(self) -> int:
        """Replaced observations of all attached games."""
        return sum(session.dropped for session in self)

    # --- what waits ---

    @property
    def waiting(self) -> int:
        """Observations that wait for a pass."""
        return sum(len(session.queue) for session in self)

    def take_batch(self, now: float = inf) -> list[Work]:
        """The oldest waiting observation of every session that has one, and waits for no other.

        Not of those on which the policy failed.
        """
        ready = self._ready
        rests = rests_s(ready, now)
        due = [session for session, rest_s in zip(ready, rests, strict=True) if not rest_s]
        return [session.take() for session in due if not session.probation]

    def take_suspect(self) -> list[Work]:
        """Of the sessions on which the policy failed, the observation that has waited longest, where one waits."""
        suspects = [session for session in self._ready if session.probation]
        suspects.sort(key=lambda session: session.queue[0].received)
        return [session.take() for session in suspects[:1]]

    @property
    def _ready(self) -> list[Session]:
        return [session for session in self if session.is_ready]

    def gathering_s(self, now: float) -> list[float]:
        """For how many seconds sessions wait for others before a pass may take their observations."""
        return [rest_s for rest_s in rests_s(self._ready, now) if rest_s]

    @property
    def suspect_waits(self) -> bool:
        """Whether a session on which the policy failed has an observation for a pass."""
        return any(session.probation for session in self._ready)

    @property
    def sound_waits(self) -> bool:
        """Whether another session has one."""
        return any(not session.probation for session in self._ready)

    # --- who sees what ---

    def watchers_of(self, session: Session) -> list[Watcher]:
        """The consoles that watch one game."""
        return [watcher for watcher in self.watchers if self.get(watcher.session) is session]

    def viewers_of(self, session: Session) -> list[Watcher]:
        """Those consoles of a game whose pictures somebody sees."""
        return [watcher for watcher in self.watchers_of(session) if watcher.pictures]

    def broadcast(self, message: Any) -> None:
        """Send to all consoles."""
        for watcher in list(self.watchers):
            watcher.peer.send(message)

    def broadcast_of(self, session: Session, message: Any) -> None:
        """Send to the consoles that watch one game."""
        for watcher in self.watchers_of(session):
            watcher.peer.send(message)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

"""Recorder's tap: whatever is attached to a server, as one capture per episode.

It listens to a server's sessions by shape (`on_attach`, `on_observation`, …), in a thread of its own. A realtime game's
steps are encoded by another process; a lockstep game, which may play many short episodes as fast as it can, is written
in this one. A game without a policy is a recording: nothing of it is dropped but what cannot be written, and each of
its episodes has a tally that the game can compare with its own.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from games import Frame, GameSpec
from games.resize import resize_frame
from recorder.capture.episode_tally import EndedEpisode, EpisodeTally
from recorder.capture.held_steps import HeldSteps, Picture, PlayedStep
from recorder.capture.live import LiveRecorder
from recorder.capture.session_events import Attached, Decision, Event, Observation
from recorder.capture.writer import CaptureWriter
from recorder.format.manifest import CaptureError, CaptureInfo, DiskFullError, Style

log = logging.getLogger("iafm.record")
Capture = LiveRecorder | CaptureWriter
ENDED = 256
"""Newest ended episodes that are remembered: many more than can end before somebody asks."""
EARLY = 256
"""Words between two episodes that wait for the next one."""
STYLES: dict[str, Style] = {"instruct": "instruction", "correct": "correction", "say": "thought"}


class Recorded(NamedTuple):
    """What was recorded of a session so far.

    The first `pictures` of its pictures are done with. `ended` are the newest ended episodes of a recording, `endings`
    all of them. `problems` counts what could not be recorded, and `problem` is the newest, in words for the game.
    """

    episodes: int = 0
    steps: int = 0
    dropped: int = 0
    pictures: int = 0
    endings: int = 0
    ended: tuple[EndedEpisode, ...] = ()
    problems: int = 0
    problem: str = ""


def create_capture(root: Path, spec: GameSpec, info: CaptureInfo) -> Capture:
    """A new capture of an attached game; raises `CaptureError`."""
    create = CaptureWriter.create if info.clock == "lockstep" else LiveRecorder.create
    return create(root, spec, info)


def create_lossless(root: Path, spec: GameSpec, info: CaptureInfo) -> Capture:
    """As `create_capture`, of a game that can wait: no step is dropped."""
    if info.clock == "lockstep":
        return CaptureWriter.create(root, spec, info, stop_when_full=True)
    return LiveRecorder.create(root, spec, info, lossless=True)


CreateCapture = Callable[[Path, GameSpec, CaptureInfo], Capture]


class Tap:
    """Records all sessions of a server under `root`; its methods are called by one thread, `recorded` by any.

    `create` makes the captures; None is `create_lossless` for recordings, `create_capture` for other games.
    """

    records = True

    def __init__(self, root: Path, create: CreateCapture | None = None) -> None:
        self._root, self._create = root, create
        self._sessions: dict[str, SessionTap] = {}

    def on_attach(self, session: str, attached: Attached) -> None:
        self._sessions[session] = SessionTap(self._root, attached, self._create)

    def on_observation(self, session: str, observation: Observation) -> None:
        self._tell(session, lambda tap: tap.observe(observation))

    def on_decision(self, session: str, index: int, decision: Decision | None) -> None:
        self._tell(session, lambda tap: tap.decide(index, decision))

    def on_control(self, session: str, owner: str) -> None:
        self._tell(session, lambda tap: tap.control(owner))

    def on_text(self, session: str, kind: str, text: str, source: str) -> None:
        self._tell(session, lambda tap: tap.text(kind, text, source))

    def on_event(self, session: str, event: Event) -> None:
        self._tell(session, lambda tap: tap.event(event))

    def on_lost(self, session: str) -> None:
        self._tell(session, lambda tap: tap.lose())

    def on_leave(self, session: str) -> None:
        self._tell(session, lambda tap: tap.interrupt())
        self._sessions.pop(session, None)

    def close(self) -> None:
        """Close what is being recorded, as interrupted."""
        for session in list(self._sessions):
            self.on_leave(session)

    def _tell(self, session: str, call: Callable[[SessionTap], None]) -> None:
        """A session that cannot be recorded is left alone from then on; the others go on."""
        tap = self._sessions.get(session)
        if tap is None:
            return
        try:
            call(tap)
        except Exception:
            log.exception("session %s is not recorded any more", session)
            del self._sessions[session]
            tap.abandon()

    def recorded(self, session: str) -> Recorded | None:
        """What was recorded of a session that is attached; None where there is none."""
        tap = self._sessions.get(session)
        return None if tap is None else tap.recorded


class SessionTap:
    """One session: the steps that are not complete yet, and the capture of the episode under way."""

    def __init__(self, root: Path, attached: Attached, create: CreateCapture | None) -> None:
        spec = attached.spec
        self._is_recording = attached.policy is None
        self._root, self._attached = root, attached
        self._create = create or (create_lossless if self._is_recording else create_capture)
        self.held = HeldSteps(
            spec.null_action(),
            attached.owner if attached.policy else "human",
            has_policy=attached.policy is not None,
        )
        self.recorded = Recorded()
        self._tally = EpisodeTally()
        self._seen = 0
        """Pictures so far."""
        self._early: deque[Callable[[Capture], object]] = deque(maxlen=EARLY)
        self._capture: Capture | None = None
        self._info = CaptureInfo()
        self._written = 0
        """Steps in the capture."""
        self._in_episode = False
        self._may_restart = True

    def observe(self, observation: Observation) -> None:
        """A picture; the first of an episode begins a capture."""
        report = observation.report
        if not self._in_episode:
            self._begin(observation.instruction)
        self._note_state(report.score, report.state)
        if self._is_recording and observation.picture is not None:
            self._tally.add_picture(observation.picture.payload)
        self.held.observe(observation.index, observation.picture, report, observation.t_ns)
        self._seen += 1
        self._write_ready()

    def decide(self, index: int, decision: Decision | None) -> None:
        self.held.decide(index, None if decision is None else decision.action)
        self._write_ready()

    def text(self, kind: str, text: str, source: str) -> None:
        """Words; those between two episodes belong to the next, whose header has the instruction."""
        t_ns = time.monotonic_ns()
        if kind in STYLES:
            by = "game" if (kind, source) == ("instruct", "game") else "human_live"
            write = partial(_write_text, style=STYLES[kind], text=text, source=by, t0_ns=t_ns)
        else:
            write = partial(_write_event, kind=kind, text=text, source=source)
        if self._in_episode:
            self._note(write)
            self._write_ready()
        elif kind in STYLES and kind != "instruct":
            self._early.append(write)

    def event(self, event: Event) -> None:
        """A reward, or the end of the episode."""
        if not self._in_episode:
            return
        self._note_state(event.score, None)
        if not (event.terminated or event.truncated):
            self.held.reward(event.reward or 0.0)
            return
        self.held.end(event)
        self._write_ready()
        self._close(success=event.success, task=event.task)
        if self._is_recording:
            now = self.recorded
            ended = (*now.ended[1 - ENDED :], self._tally.ended())
            self.recorded = now._replace(ended=ended, endings=now.endings + 1)

    def lose(self) -> None:
        """The connection is lost: at least one step is missing before the next picture."""
        if self._in_episode:
            self._drop(max(1, self._cut()))

    def interrupt(self) -> None:
        """The game is gone."""
        if self._in_episode:
            if lost := self._cut():
                self._drop(lost)
            self._close(interrupted=True)

    def _cut(self) -> int:
        """Write what is certain; returns the number of decided steps of which nobody knows whether they were played."""
        lost = self.held.interrupt()
        self._write_ready()
        return lost

    def control(self, owner: str) -> None:
        """Another owns the player."""
        self.held.owner = owner

    def abandon(self) -> None:
        """Close the capture, whatever waits."""
        self._close(interrupted=True)

    # --- the capture ---

    def _begin(self, instruction: str) -> None:
        attached = self._attached
        self._in_episode, self._may_restart, self._tally = True, True, EpisodeTally()
        self._info = CaptureInfo(
            instruction=instruction,
            actor="human" if self.held.owner == "human" else "agent",
            author=attached.policy or "",
            clock="lockstep" if attached.lockstep else "wallclock",
        )
        self._open()
        while self._early:
            self._note(self._early.popleft())

    def _open(self) -> None:
        self._written = 0
        try:
            self._capture = self._create(self._root, self._attached.spec, self._info)
        except (CaptureError, OSError) as error:
            log.error("an episode of %s is not recorded: %s", self._attached.spec.id, error)
            self._capture = None
            self._fail(error)

    def _write_ready(self) -> None:
        for step in self.held.ready():
            frame = _frame_of(step.picture, self._attached.spec)
            if frame is None and step.picture is not None:
                self._note_problem(f"picture {step.picture.number} does not decode")
            if step.action is None or frame is None:
                self._drop(1)
            else:
                self._write(partial(self._step, step=step, frame=frame))
        self._count()

    def _step(self, capture: Capture, step: PlayedStep, frame: Frame) -> None:
        assert step.action is not None
        before = capture.dropped
        capture.step(
            frame, step.action, executed=step.executed, agent_action=step.agent_action, by=step.by,
            reward=step.reward, t_ns=step.t_ns,
        )  # fmt: skip
        lost = capture.dropped - before
        self._written += 1 - lost
        self._count(steps=1 - lost, dropped=lost)

    def _drop(self, steps: int) -> None:
        if self._capture is not None:
            self._capture.count_dropped(steps)
        self._count(dropped=steps)

    def _note_state(self, score: float | None, state: dict[str, Any] | None) -> None:
        values = {"score": score, "state": state}
        if given := {name: value for name, value in values.items() if value is not None}:
            self._note(lambda capture: capture.event("state", **given))

    def _note(self, write: Callable[[Capture], object]) -> None:
        """Write a text or an event behind the steps that came before it."""
        self.held.note(lambda: self._write(write, is_step=False))

    def _write(self, write: Callable[[Capture], object], *, is_step: bool = True) -> None:
        """Write into the capture; where that fails a new one goes on, once an episode."""
        try:
            if self._capture is not None:
                write(self._capture)
                return
        except CaptureError as error:
            log.error("recording of %s broke off: %s", self._attached.spec.id, error)
            self._fail(error)
            self._close(interrupted=True)
            self._in_episode = True
            if self._may_restart and not isinstance(error, DiskFullError):
                self._may_restart = False
                self._open()
        if is_step:
            self._drop(1)

    def _close(
        self, *, success: bool | None = None, task: str = "", interrupted: bool = False
    ) -> None:
        capture, self._capture, self._in_episode = self._capture, None, False
        if capture is None:
            return
        try:
            if not self._written:
                capture.discard()
                return
            self._tally.name = capture.folder.name
            capture.close(success=success, task=task, interrupted=interrupted)
        except CaptureError as error:
            log.error("%s was not finished: %s", capture.folder, error)
            self._fail(error)
        self._count(episodes=1)

    def _fail(self, error: Exception) -> None:
        """Something cannot be written; the game hears no paths of this machine."""
        is_full = isinstance(error, DiskFullError)
        self._note_problem(
            "the server's disk is full"
            if is_full
            else "the recorder failed: the server's log says how"
        )

    def _note_problem(self, reason: str) -> None:
        self._tally.fail(reason)
        now = self.recorded
        self.recorded = now._replace(problems=now.problems + 1, problem=reason)

    def _count(self, *, episodes: int = 0, steps: int = 0, dropped: int = 0) -> None:
        now = self.recorded
        self._tally.steps += steps
        self._tally.dropped += dropped
        self.recorded = now._replace(
            episodes=now.episodes + episodes,
            steps=now.steps + steps,
            dropped=now.dropped + dropped,
            pictures=self._seen - self.held.count,
        )


def _write_text(capture: Capture, **values: Any) -> None:
    capture.text(**values)


def _write_event(capture: Capture, kind: str, **values: Any) -> None:
    capture.event(kind, **values)


def _frame_of(picture: Picture | None, spec: GameSpec) -> Frame | None:
    """A picture at the game's size; None where it is missing or damaged."""
    try:
        frame = None if picture is None else picture.decode()
    except ValueError:
        return None
    if frame is None or frame.shape == spec.frame.shape:
        return frame
    return resize_frame(frame, spec.frame.height, spec.frame.width)

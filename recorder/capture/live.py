"""Live recorder: a separate process that encodes and writes, so that recording never holds up the game.

The game's process decides what is recorded: it numbers the steps, puts them into the spool (a file of the capture) and
writes texts and events itself. All of that is on disk when the call returns, and survives a kill of the game, of the
recording process or of both. The recording process takes the steps from the spool and encodes them. When the spool
fills up, the encoder lowers its quality. When it is full, a lockstep or lossless game waits; of any other the step is
dropped and counted: the next frame's line carries `dropped_before`, and events.jsonl the action. Signals to the
process group end only the game. When the game ends, also by `kill -9`, the recording process writes what is in the
spool and closes the capture as "interrupted".
"""

from __future__ import annotations

import bisect
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from games import Frame, GameSpec
from recorder.capture.disk_guard import DiskGuard
from recorder.capture.notes import NoteWriter
from recorder.capture.recording_process import RecordingProcess
from recorder.capture.spool import Spool
from recorder.capture.writer import DISK_NEEDED, DISK_PAUSE
from recorder.format.manifest import CaptureError, CaptureInfo, DiskFullError, Style
from recorder.format.video import VideoProfile

QUEUE = 64
"""Steps that may wait before the encoder: 3 s at 20 Hz. Fewer where the frames are large (`SPOOL_BYTES`)."""


@dataclass(frozen=True)
class LiveReport:
    """Result of a recording: frames written, steps dropped, times that quality was lowered, longest queue."""

    steps: int
    dropped: int
    lowered: int
    queued: int


class LiveRecorder:
    """`CaptureWriter`'s step, text, event, close and discard, with another process that encodes.

    Steps are numbered by the game: `step` returns the game's number, and `text` takes such numbers, also where steps in
    between were dropped. Every call raises `RecordingEndedError` where the recording process has ended, `DiskFullError`
    where it met a full disk; `restart` goes on in a new capture. Not thread-safe.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._spec: GameSpec = settings["spec"]
        self._lossless: bool = settings["lossless"]
        self._waits = self._lossless or settings["info"].clock == "lockstep"
        self._process = RecordingProcess({
            "root": str(settings["root"].resolve()),
            "spec": self._spec.model_dump(mode="json"),
            "info": settings["info"].model_dump(mode="json"),
            "profile": settings["profile"] and asdict(settings["profile"]),
            "queue": settings["queue"],
            "disk_needed": settings["disk_needed"],
        })  # fmt: skip
        self.folder = self._process.folder
        self._spool = Spool.open(self.folder, self._spec.frame.shape)
        self._notes = NoteWriter(self.folder)
        self._guard = DiskGuard(self.folder, settings["disk_pause"])
        self._dropped_ticks: list[int] = []
        self._unwritten = self._queued = self._lowered = 0
        self._report: LiveReport | None = None
        self.steps = 0
        """Steps of the game so far, with the dropped ones."""

    @classmethod
    def create(
        cls,
        root: Path,
        spec: GameSpec,
        info: CaptureInfo,
        *,
        profile: VideoProfile | None = None,
        queue: int = QUEUE,
        disk_needed: int = DISK_NEEDED,
        disk_pause: int = DISK_PAUSE,
        lossless: bool = False,
    ) -> LiveRecorder:
        """Start a recording process and a capture under `root`; raises `CaptureError` as `CaptureWriter` does.

        `lossless` is for a game that can wait: `step` waits where the queue is full, and raises `DiskFullError`
        instead of dropping steps.
        """
        return cls({
            "root": root, "spec": spec, "info": info, "profile": profile, "queue": queue,
            "disk_needed": disk_needed, "disk_pause": disk_pause, "lossless": lossless,
        })  # fmt: skip

    def restart(self) -> LiveRecorder:
        """A new capture with the same settings; this one is closed, or left to `recover` where that cannot be."""
        if self._report is None:
            with suppress(CaptureError):
                self.close(interrupted=True)
            self._report = self._report or LiveReport(
                self._spool.counted, self.dropped, self._lowered, self._queued
            )
        return LiveRecorder(self._settings)

    @property
    def paused(self) -> bool:
        """Whether steps are being dropped because the disk is nearly full."""
        return self._guard.paused

    @property
    def dropped(self) -> int:
        """Steps that were not recorded so far: the disk was nearly full, or the queue was full."""
        return len(self._dropped_ticks)

    @property
    def queued(self) -> int:
        """Steps that wait for the encoder, as of the last call."""
        return self._spool.counted - self._process.written

    def step(
        self,
        frame: Frame,
        action: Mapping[str, Any],
        *,
        executed: Mapping[str, Any] | None = None,
        agent_action: Mapping[str, Any] | None = None,
        by: str | None = None,
        reward: float = 0.0,
        t_ns: int | None = None,
        observed: bool = True,
    ) -> int:
        """Record the game's next frame and the action active after it; returns the step's number.

        Returns at once, unless the queue is full and the game is a lockstep or a lossless one.
        """
        if frame.shape != self._spec.frame.shape or frame.dtype != np.uint8:
            raise CaptureError(
                f"{self._spec.id} has uint8 frames of {self._spec.frame.shape}, got {frame.dtype} {frame.shape}"
            )
        wanted = self._spec.normalize(action)
        values = {
            "action": wanted,
            "executed": None if executed is None else self._spec.normalize(executed),
            "agent_action": None if agent_action is None else self._spec.normalize(agent_action),
            "by": by,
            "reward": reward,
            "t_ns": time.monotonic_ns() if t_ns is None else t_ns,
            "wall_ns": time.time_ns(),
            "observed": observed,
            "dropped": self._unwritten,
        }
        self._hear()
        if self._disk_is_full():
            if self._lossless:
                raise DiskFullError(
                    f"{self.folder.parent}: the disk is nearly full, make room first"
                )
            self._drop()
        elif self._has_room():
            self._put(frame, values)
        else:
            with suppress(DiskFullError):  # counted all the same
                self._event("dropped", tick=self.steps, action=wanted)
            self._drop()
        self.steps += 1
        return self.steps - 1

    def count_dropped(self, steps: int = 1) -> None:
        """Count steps of the game that cannot be recorded; the next frame's line carries the count."""
        for _ in range(steps):
            self._drop()
            self.steps += 1

    def _put(self, frame: Frame, values: dict[str, Any]) -> None:
        try:
            self._spool.put(frame, values)
        except DiskFullError:
            if self._waits:
                raise
            self._guard.paused = True  # until the disk is looked at again
            self._drop()
            return
        self._unwritten = 0
        self._queued = max(self._queued, self.queued)
        self._process.send({"do": "step"})

    def _drop(self) -> None:
        self._dropped_ticks.append(self.steps)
        self._unwritten += 1

    def _has_room(self) -> bool:
        while self.queued >= self._spool.slots:
            if not self._waits:
                return False
            self._hear(wait=True)
        return True

    def _disk_is_full(self) -> bool:
        if self._guard.has_changed(self.steps):
            with suppress(DiskFullError):
                self._event("paused" if self.paused else "resumed", why="disk")
        return self.paused

    def text(
        self,
        *,
        style: Style,
        text: str,
        i0: int | None = None,
        i1: int | None = None,
        t0_ns: int | None = None,
        t1_ns: int | None = None,
        source: str = "human_live",
        author: str = "",
        supersedes: int | None = None,
    ) -> int:
        """Write a text about the steps from `i0` (now where None; earlier to back-date); returns the text's id."""
        self._hear()
        return self._notes.text(
            style=style, text=text, i0=self._frame_index(self.steps if i0 is None else i0),
            i1=None if i1 is None else self._frame_index(i1), t0_ns=t0_ns, t1_ns=t1_ns, source=source,
            author=author, supersedes=supersedes,
        )  # fmt: skip

    def event(self, kind: str, **values: Any) -> None:
        """Write a raw input or game event."""
        self._hear()
        self._event(kind, **values)

    def _event(self, kind: str, **values: Any) -> None:
        self._notes.event(kind, self._frame_index(self.steps), values)

    def _frame_index(self, tick: int) -> int:
        """The first frame that is not before the game's step."""
        return tick - bisect.bisect_left(self._dropped_ticks, tick)

    def close(
        self, *, success: bool | None = None, task: str = "", interrupted: bool = False
    ) -> LiveReport:
        """As `CaptureWriter.close`, once everything is written; a second call returns the same report."""
        if self._report is None:
            try:
                if self._unwritten:
                    with suppress(DiskFullError):
                        self._event("dropped_at_end", steps=self._unwritten)
                    self._unwritten = 0
                end = self._process.end(
                    {"do": "close", "success": success, "task": task, "interrupted": interrupted}
                )
            finally:
                self._close_files()
            self._report = LiveReport(
                end["steps"], self.dropped, self._process.lowered, self._queued
            )
        return self._report

    def discard(self) -> None:
        """Delete the capture instead of closing it, also where the recording process has ended."""
        if self._report is None:
            with suppress(CaptureError):
                self._process.end({"do": "discard"})
            self._close_files()
            shutil.rmtree(self.folder, ignore_errors=True)
            self._report = LiveReport(0, self.dropped, self._process.lowered, self._queued)

    def _hear(self, *, wait: bool = False) -> None:
        """Take in the recording process's answers, at least one with `wait`."""
        self._process.hear(wait=wait)
        while self._lowered < self._process.lowered:
            self._lowered += 1
            with suppress(DiskFullError):
                self._event("lower_quality", times=self._lowered)

    def _close_files(self) -> None:
        self._spool.close()
        self._notes.close()

    def __enter__(self) -> LiveRecorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(interrupted=kind is not None)

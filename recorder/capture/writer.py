"""Capture writer: one episode on disk, of which a kill loses nothing that was written.

Every step is in the files when `step` returns: the video as one fragment per frame, the rest as one JSON line. What
the operating system has survives `kill -9`; `recorder.capture.recover` closes what a dead writer left open. A step is
written whole or not at all, also on a full disk and at Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from games import Action, Frame, GameSpec
from recorder.capture.disk_guard import DiskGuard, require_room
from recorder.capture.notes import NoteWriter
from recorder.capture.spool import SPOOL
from recorder.format.actions import action_row
from recorder.format.append_file import AppendFile
from recorder.format.manifest import (
    ACTIONS,
    FRAMES,
    VIDEO,
    CaptureError,
    CaptureInfo,
    DiskFullError,
    Manifest,
    Status,
    Style,
    disk_errors,
    write_manifest,
)
from recorder.format.process import process_state
from recorder.format.video import VideoProfile, VideoWriter, profile_for, remux

DISK_NEEDED = 2 << 30
"""Free bytes without which no capture is started."""
DISK_PAUSE = 500 << 20
"""Free bytes below which steps are dropped (and counted) until there is room again."""


class CaptureWriter:
    """Writes one episode as a capture folder; `with CaptureWriter.create(...) as capture`.

    Leaving the block closes it, also after an exception or Ctrl-C: the steps so far are kept and the capture is
    marked "interrupted". Not thread-safe.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        profile: VideoProfile,
        disk_pause: int = DISK_PAUSE,
        stop_when_full: bool = False,
        steps: int = 0,
        dropped: int = 0,
    ) -> None:
        self.folder = folder
        self.dropped = dropped
        """Steps that were not written so far; frames.jsonl has where."""
        self._manifest = manifest
        self._guard = DiskGuard(folder, disk_pause)
        self._stop_when_full = stop_when_full
        self._unwritten = 0
        self._notes = NoteWriter(folder)
        self._video = VideoWriter(folder / VIDEO, manifest.spec, profile)
        self._frames, self._actions = AppendFile(folder / FRAMES), AppendFile(folder / ACTIONS)
        self._whole = (steps, self._sizes())

    @property
    def steps(self) -> int:
        """Frames written so far."""
        return self._whole[0]

    @property
    def paused(self) -> bool:
        """Whether steps are being dropped because the disk is nearly full."""
        return self._guard.paused

    @classmethod
    def create(
        cls,
        root: Path,
        spec: GameSpec,
        info: CaptureInfo,
        *,
        profile: VideoProfile | None = None,
        disk_needed: int = DISK_NEEDED,
        disk_pause: int = DISK_PAUSE,
        stop_when_full: bool = False,
    ) -> CaptureWriter:
        """Start a capture under `root`; raises `DiskFullError` where the disk is nearly full.

        What can be played or imported again needs `stop_when_full`: then `step` raises `DiskFullError` instead of
        dropping steps.
        """
        root.mkdir(parents=True, exist_ok=True)
        require_room(root, disk_needed)
        profile = profile_for(spec, profile)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        folder = root / f"{stamp}_{spec.name}_{uuid.uuid4().hex[:8]}"
        manifest = Manifest(
            id=folder.name,
            spec=spec,
            info=info,
            writer=os.getpid(),
            writer_started=(process_state(os.getpid()) or ("", None))[1],
            start_wall_ns=time.time_ns(),
            start_t_ns=time.monotonic_ns(),
            pixel_format=profile.pixel_format,
        )
        try:
            with disk_errors(root):
                (folder / VIDEO).parent.mkdir(parents=True)
                write_manifest(folder, manifest)
                return cls(folder, manifest, profile, disk_pause, stop_when_full)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

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
        wall_ns: int | None = None,
        observed: bool = True,
    ) -> int:
        """Write frame i and the action active after it; returns i.

        `action` is what the player (or expert) wanted, `executed` what the game did where that differs; `by` names
        who acted (human, agent, expert, …), the header's actor where None. `agent_action` is what the agent wanted
        where a person had taken over.
        While the disk is too full the step is counted in `dropped` instead, and i is the next frame to come; with
        `stop_when_full`, and where the disk is full to the last byte, `DiskFullError` is raised. `CaptureError` is
        raised where the encoder fails. A step that raised is not in the capture.
        """
        spec = self._manifest.spec
        if frame.shape != spec.frame.shape or frame.dtype != np.uint8:
            raise CaptureError(
                f"{spec.id} has uint8 frames of {spec.frame.shape}, got {frame.dtype} {frame.shape}"
            )
        i = self.steps
        wanted: Action = spec.normalize(action)
        done = None if executed is None else spec.normalize(executed)
        if done == wanted:
            done = None
        if self._disk_is_full():
            if self._stop_when_full:
                raise DiskFullError(
                    f"{self.folder.parent}: the disk is nearly full, make room first"
                )
            self.count_dropped()
            return i
        row = action_row(
            spec, i, wanted, done, by=self._manifest.info.actor if by is None else by, observed=observed,
            reward=reward, agent_action=None if agent_action is None else spec.normalize(agent_action),
        )  # fmt: skip
        try:
            self._write_step(frame, i, t_ns, wall_ns, row)
        except BaseException:
            self._cut_to_whole_steps()
            raise
        self._unwritten = 0
        return i

    def _write_step(
        self, frame: Frame, i: int, t_ns: int | None, wall_ns: int | None, row: dict[str, Any]
    ) -> None:
        line = {
            "i": i,
            "pts": i,
            "t_ns": time.monotonic_ns() if t_ns is None else t_ns,
            "wall_ns": time.time_ns() if wall_ns is None else wall_ns,
            "game_tick": i + self.dropped,
            "dropped_before": self._unwritten,
        }
        self._video.write(frame, i)
        self._frames.append_line(line)
        self._actions.append_line(row)
        self._whole = (i + 1, self._sizes())

    def _sizes(self) -> tuple[int, int, int]:
        return self._video.size, self._frames.size, self._actions.size

    def _cut_to_whole_steps(self) -> None:
        """Remove what was written of a step that is not whole."""
        tracks: tuple[VideoWriter | AppendFile, ...] = (self._video, self._frames, self._actions)
        for track, size in zip(tracks, self._whole[1], strict=True):
            if track.size > size:
                track.cut(size)

    def write_spooled(self, frame: Frame, values: dict[str, Any]) -> None:
        """Write a step of a live game as its `Spool` has it."""
        step = dict(values)
        if dropped := step.pop("dropped"):
            self.count_dropped(dropped)
        self.step(frame, **step)

    def count_dropped(self, steps: int = 1) -> None:
        """Count steps of the game that could not be written; the next frame's line carries the count."""
        self.dropped += steps
        self._unwritten += steps

    def lower_quality(self) -> bool:
        """Encode with fewer bits and less time per frame from now on; False where quality is at its lowest."""
        return self._video.lower_quality()

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
        """Write a text about the steps from `i0` (now where None; earlier to back-date); returns the text's id.

        `supersedes` is the id of an earlier text that this one replaces. Raises `DiskFullError`.
        """
        return self._notes.text(
            style=style, text=text, i0=self.steps if i0 is None else i0, i1=i1, t0_ns=t0_ns, t1_ns=t1_ns,
            source=source, author=author, supersedes=supersedes,
        )  # fmt: skip

    def event(self, kind: str, **values: Any) -> None:
        """Write a raw input or game event; raises `DiskFullError`."""
        self._notes.event(kind, self.steps, values)

    def close(
        self, *, success: bool | None = None, task: str = "", interrupted: bool = False
    ) -> None:
        """Finish the video and mark the capture closed, with a task that was not known before; safe to call twice.

        Raises `DiskFullError` where there is no room to finish it: every step stays, and a second call or `recover`
        finishes it once there is room.
        """
        if self._manifest.status == "recording":
            with disk_errors(self.folder.parent):
                self._close(success, task, interrupted)

    def discard(self) -> None:
        """Delete the capture instead of closing it."""
        self.close_files()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close_files(self) -> None:
        """Close the files and leave the capture open, for `recover`."""
        for file in (self._video, self._frames, self._actions, self._notes):
            file.close()

    def _close(self, success: bool | None, task: str, interrupted: bool) -> None:
        if self._unwritten:
            self.event("dropped_at_end", steps=self._unwritten)
            self._unwritten = 0
        self._cut_to_whole_steps()
        self.close_files()
        if self.steps:
            remux(self.folder / VIDEO, self.steps)
        (self.folder / SPOOL).unlink(missing_ok=True)
        info = self._manifest.info
        if success is not None:
            info = info.model_copy(update={"success": success})
        if task:
            info = info.model_copy(update={"task": task})
        status: Status = "interrupted" if interrupted else "closed"
        done = self._manifest.model_copy(
            update={"status": status, "writer": 0, "writer_started": None, "steps": self.steps, "info": info}
        )  # fmt: skip
        write_manifest(self.folder, done)
        self._manifest = done

    def _disk_is_full(self) -> bool:
        if self._guard.has_changed(self.steps + self.dropped):
            with suppress(DiskFullError):
                self.event("paused" if self.paused else "resumed", why="disk")
        return self.paused

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(interrupted=kind is not None)

"""Capture writer: one episode on disk, of which a crash loses at most one frame.

Every step is flushed: the video as one fragment per frame, the rest as one JSON line. What the operating system has
survives `kill -9`; `recorder.capture.recover` closes what a dead writer left open.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import av
import numpy as np

from games import Action, Frame, GameSpec
from recorder.format.actions import action_row
from recorder.format.atomic import write_atomic
from recorder.format.manifest import (
    ACTIONS,
    EVENTS,
    FRAMES,
    TEXT,
    VIDEO,
    CaptureError,
    CaptureInfo,
    DiskFullError,
    Manifest,
    Status,
    Style,
    TextSpan,
    disk_errors,
    process_state,
    write_manifest,
)
from recorder.format.video import VideoProfile, VideoWriter, profile_for, remux

DISK_NEEDED = 2 << 30
"""Free bytes without which no capture is started."""
DISK_PAUSE = 500 << 20
"""Free bytes below which steps are dropped (and counted) until there is room again."""
DISK_CHECK_STEPS = 20
"""Steps between two checks of the free space."""


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
    ) -> None:
        self.folder = folder
        self.steps = 0
        self.dropped = 0
        """Steps that were not written so far; frames.jsonl has where."""
        self.paused = False
        """Whether steps are being dropped because the disk is nearly full."""
        self._manifest = manifest
        self._disk_pause = disk_pause
        self._stop_when_full = stop_when_full
        self._unwritten = 0
        self._texts = 0
        self._files: dict[str, IO[str]] = {
            name: (folder / name).open("w", encoding="utf-8")
            for name in (FRAMES, ACTIONS, EVENTS, TEXT)
        }
        self._video = VideoWriter(folder / VIDEO, manifest.spec, profile)

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
        if (free := shutil.disk_usage(root).free) < disk_needed:
            raise DiskFullError(
                f"{root} has {free / 1e9:.1f} GB free, {disk_needed / 1e9:.1f} GB are needed: make room first"
            )
        profile = profile_for(spec, profile)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        folder = root / f"{stamp}_{spec.name}_{uuid.uuid4().hex[:8]}"
        (folder / VIDEO).parent.mkdir(parents=True)
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
        write_manifest(folder, manifest)
        return cls(folder, manifest, profile, disk_pause, stop_when_full)

    def step(
        self,
        frame: Frame,
        action: Mapping[str, Any],
        *,
        executed: Mapping[str, Any] | None = None,
        by: str | None = None,
        reward: float = 0.0,
        t_ns: int | None = None,
        observed: bool = True,
    ) -> int:
        """Write frame i and the action active after it; returns i.

        `action` is what the player (or expert) wanted, `executed` what the game did where that differs; `by` names
        who acted (human, agent, expert, …), the header's actor where None.
        While the disk is too full the step is counted in `dropped` instead, and i is the next frame to come; with
        `stop_when_full`, and where the disk is full to the last byte, `DiskFullError` is raised.
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
        with disk_errors(self.folder.parent):
            self._write_step(frame, i, t_ns, action_row(
                spec, i, wanted, done, by=self._manifest.info.actor if by is None else by,
                observed=observed, reward=reward,
            ))  # fmt: skip
        self._unwritten = 0
        self.steps += 1
        return i

    def _write_step(self, frame: Frame, i: int, t_ns: int | None, row: dict[str, Any]) -> None:
        self._video.write(frame, i)
        line = {
            "i": i,
            "pts": i,
            "t_ns": time.monotonic_ns() if t_ns is None else t_ns,
            "wall_ns": time.time_ns(),
            "game_tick": i + self.dropped,
            "dropped_before": self._unwritten,
        }
        self._write(FRAMES, line)
        self._write(ACTIONS, row)

    def count_dropped(self, steps: int = 1) -> None:
        """Count steps of the game that could not be written; the next frame's line carries the count."""
        self.dropped += steps
        self._unwritten += steps

    def lower_quality(self) -> bool:
        """Encode with fewer bits and less time per frame from now on; False where quality is at its lowest."""
        lowered = self._video.lower_quality()
        if lowered:
            self.event("lower_quality", crf=self._video.profile.crf)
        return lowered

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

        `supersedes` is the id of an earlier text that this one replaces.
        """
        span = TextSpan(
            id=self._texts, t0_ns=time.monotonic_ns() if t0_ns is None else t0_ns, t1_ns=t1_ns,
            i0=self.steps if i0 is None else i0, i1=i1,
            text=text, style=style, source=source, author=author, supersedes=supersedes,
        )  # fmt: skip
        self._write(TEXT, span.model_dump())
        self._texts += 1
        return span.id

    def event(self, kind: str, **values: Any) -> None:
        """Write a raw input or game event."""
        self._write(EVENTS, {"t_ns": time.monotonic_ns(), "i": self.steps, "kind": kind, **values})

    def close(self, *, success: bool | None = None, interrupted: bool = False) -> None:
        """Finish the video and mark the capture closed; safe to call twice."""
        if self._manifest.status == "recording":
            with disk_errors(self.folder.parent):
                self._close(success, interrupted)

    def discard(self) -> None:
        """Delete the capture instead of closing it."""
        with suppress(OSError, av.FFmpegError):  # what is deleted need not be complete
            self._video.close()
        for file in self._files.values():
            with suppress(OSError):
                file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _close(self, success: bool | None, interrupted: bool) -> None:
        if self._unwritten:
            self.event("dropped_at_end", steps=self._unwritten)
        self._video.close()
        for file in self._files.values():
            file.close()
        if interrupted:
            truncate_lines(self.folder / FRAMES, self.steps)
        if self.steps:
            remux(self.folder / VIDEO, self.steps)
        info = self._manifest.info
        if success is not None:
            info = info.model_copy(update={"success": success})
        status: Status = "interrupted" if interrupted else "closed"
        self._manifest = self._manifest.model_copy(
            update={"status": status, "writer": 0, "writer_started": None, "steps": self.steps, "info": info}
        )  # fmt: skip
        write_manifest(self.folder, self._manifest)

    def _disk_is_full(self) -> bool:
        if (self.steps + self.dropped) % DISK_CHECK_STEPS == 0:
            full = shutil.disk_usage(self.folder).free < self._disk_pause
            if full != self.paused:
                self.paused = full
                self.event("paused" if full else "resumed", why="disk")
        return self.paused

    def _write(self, name: str, row: dict[str, Any]) -> None:
        file = self._files[name]
        file.write(json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n")
        file.flush()

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(interrupted=kind is not None)


def truncate_lines(path: Path, lines: int) -> None:
    """Keep the first `lines` lines of a file, atomically."""
    first_lines = path.read_bytes().split(b"\n")[:lines]
    write_atomic(path, "".join(line.decode() + "\n" for line in first_lines))

"""How is play written down so that a crash loses at most one frame?

Every step is flushed: the video as one fragment per frame, the rest as one JSON line. What is in the operating
system's hands survives `kill -9`; `recorder.recover` closes what a dead writer left open.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import av
import numpy as np

from games import Action, Frame, GameSpec
from recorder.layout import (
    ACTIONS,
    EVENTS,
    FRAMES,
    MANIFEST,
    TEXT,
    VIDEO,
    CaptureError,
    CaptureInfo,
    Manifest,
    Style,
    TextSpan,
    write_atomically,
)

DISK_NEEDED = 2 << 30
"""Free bytes without which no capture is started."""


@dataclass(frozen=True)
class VideoProfile:
    """How frames are compressed (x264, no B-frames)."""

    crf: int
    pixel_format: str


LIVE = VideoProfile(crf=25, pixel_format="yuv420p")
"""For ordinary pictures."""
SHARP = VideoProfile(crf=14, pixel_format="yuv444p")
"""For pictures under 256 pixels wide: a far animal is two pixels there, and halved colour would lose it."""


class CaptureWriter:
    """Writes one episode as a capture folder; `with CaptureWriter.create(...) as capture`.

    Leaving the block closes it, also after an exception or Ctrl-C: the steps so far are kept.
    """

    def __init__(self, folder: Path, manifest: Manifest, profile: VideoProfile) -> None:
        self.folder = folder
        self._manifest = manifest
        self.steps = 0
        self._texts = 0
        self._files: dict[str, IO[str]] = {
            name: (folder / name).open("w", encoding="utf-8")
            for name in (FRAMES, ACTIONS, EVENTS, TEXT)
        }
        self._container = _open_video(folder / VIDEO)
        self._stream = _add_stream(self._container, manifest.spec, profile)

    @classmethod
    def create(
        cls,
        root: Path,
        spec: GameSpec,
        info: CaptureInfo,
        *,
        profile: VideoProfile | None = None,
        disk_needed: int = DISK_NEEDED,
    ) -> CaptureWriter:
        """Start a capture under `root`; raises `CaptureError` where the disk is nearly full."""
        root.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(root).free) < disk_needed:
            raise CaptureError(
                f"{root} has {free / 1e9:.1f} GB free, {disk_needed / 1e9:.1f} GB are needed: make room first"
            )
        profile = profile or (SHARP if spec.frame.width < 256 else LIVE)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        folder = root / f"{stamp}_{spec.name}_{uuid.uuid4().hex[:8]}"
        (folder / VIDEO).parent.mkdir(parents=True)
        manifest = Manifest(
            id=folder.name,
            spec=spec,
            info=info,
            writer=os.getpid(),
            start_wall_ns=time.time_ns(),
            start_t_ns=time.monotonic_ns(),
            pixel_format=profile.pixel_format,
        )
        write_atomically(folder / MANIFEST, manifest.model_dump_json())
        return cls(folder, manifest, profile)

    def step(
        self,
        frame: Frame,
        action: Mapping[str, Any],
        *,
        executed_action: Mapping[str, Any] | None = None,
        reward: float = 0.0,
        t_ns: int | None = None,
        known: bool = True,
    ) -> int:
        """Write frame i and the action active after it; returns i.

        `action` is what the player (or teacher) wanted; `executed_action` what the game did where that differs.
        """
        spec = self._manifest.spec
        if frame.shape != spec.frame.shape or frame.dtype != np.uint8:
            raise CaptureError(
                f"{spec.id} has uint8 frames of {spec.frame.shape}, got {frame.dtype} {frame.shape}"
            )
        i = self.steps
        wanted: Action = spec.legal(action)
        other = None if executed_action is None else spec.legal(executed_action)
        if other == wanted:
            other = None
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts = i
        self._container.mux(self._stream.encode(picture))
        now = time.monotonic_ns() if t_ns is None else t_ns
        line = {
            "i": i,
            "pts": i,
            "t_ns": now,
            "wall_ns": time.time_ns(),
            "game_tick": i,
            "dropped_before": 0,
        }
        self._write(FRAMES, line)
        executed = "human" if other is None else "agent"
        self._write(
            ACTIONS,
            {"i": i, "human": _sparse(spec, wanted), "agent": None if other is None else _sparse(spec, other),
             "executed": executed, "known": known, "reward": reward},
        )  # fmt: skip
        self.steps += 1
        return i

    def text(
        self,
        *,
        style: Style,
        text: str,
        i0: int | None = None,
        i1: int | None = None,
        source: str = "human_live",
        author: str = "",
        supersedes: int | None = None,
    ) -> int:
        """Write words about the steps from `i0` (now where None); returns the text's id."""
        now = time.monotonic_ns()
        span = TextSpan(
            id=self._texts, t0_ns=now, i0=self.steps if i0 is None else i0, i1=i1,
            text=text, style=style, source=source, author=author, supersedes=supersedes,
        )  # fmt: skip
        self._write(TEXT, span.model_dump())
        self._texts += 1
        return span.id

    def event(self, kind: str, **values: Any) -> None:
        """Write a raw input or game event."""
        self._write(EVENTS, {"t_ns": time.monotonic_ns(), "i": self.steps, "kind": kind, **values})

    def close(self, *, success: bool | None = None) -> None:
        """Finish the video and mark the capture closed; safe to call twice."""
        if self._manifest.status != "recording":
            return
        self._container.mux(self._stream.encode(None))
        self._container.close()
        for file in self._files.values():
            file.close()
        info = self._manifest.info
        if success is not None:
            info = info.model_copy(update={"success": success})
        self._manifest = self._manifest.model_copy(
            update={"status": "closed", "writer": 0, "steps": self.steps, "info": info}
        )
        write_atomically(self.folder / MANIFEST, self._manifest.model_dump_json())

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
        self.close()


def _sparse(spec: GameSpec, action: Action) -> Action:
    """Only the controls that are not at rest."""
    return {c.name: action[c.name] for c in spec.controls if action[c.name] != c.null}


def _open_video(path: Path) -> Any:
    return av.open(
        str(path),
        "w",
        format="mp4",
        options={"movflags": "frag_every_frame+empty_moov+default_base_moof", "flush_packets": "1"},
    )


def _add_stream(container: Any, spec: GameSpec, profile: VideoProfile) -> Any:
    stream = container.add_stream("libx264", rate=max(1, round(spec.step_hz)))
    stream.width, stream.height = spec.frame.width, spec.frame.height
    stream.pix_fmt = profile.pixel_format
    stream.options = {
        "preset": "ultrafast", "tune": "fastdecode,zerolatency", "crf": str(profile.crf),
        "g": str(max(1, round(spec.step_hz))), "bf": "0",
    }  # fmt: skip
    stream.thread_count = 1
    return stream

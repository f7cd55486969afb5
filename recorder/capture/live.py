"""Live recorder: a separate process that encodes and writes, so that recording never holds up the game.

The game's process sends steps through a pipe. A thread of the recording process reads them at once, so that they
outlive the game, and puts them into a bounded queue before the encoder. When that queue fills up, the encoder lowers
its quality. When it is full, a lockstep game waits; of any other game the step is dropped and counted: the next frame's
line carries `dropped_before`, and events.jsonl the action. Ctrl-C reaches only the game. When the game ends, also by
`kill -9`, the recording process writes what it has received and closes the capture as "interrupted".
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import IO, Any

import numpy as np

from games import Frame, GameSpec
from recorder.capture.pipe import write_message
from recorder.capture.writer import DISK_NEEDED, DISK_PAUSE
from recorder.format.manifest import CaptureError, CaptureInfo, Style
from recorder.format.video import VideoProfile

QUEUE = 64
"""Steps that may wait before the encoder: 3 s at 20 Hz."""
CLOSE_TIMEOUT_S = 120.0
"""Seconds that `close` waits for the recording process to finish its file."""


@dataclass(frozen=True)
class LiveReport:
    """Result of a recording: frames written, steps dropped, times that quality was lowered, longest queue."""

    steps: int
    dropped: int
    lowered: int
    queued: int


class LiveRecorder:
    """`CaptureWriter`'s step, text, event and close in another process.

    Steps are numbered by the game: `step` returns the game's number, and `text` takes such numbers, also where steps in
    between were dropped. Not thread-safe.
    """

    def __init__(self, process: subprocess.Popen[bytes], spec: GameSpec) -> None:
        self._process = process
        self._spec = spec
        self._pipe = _pipe(process.stdin)
        self._answers = _pipe(process.stdout)
        self._report: LiveReport | None = None
        self._broken = False
        self._texts = 0
        self.steps = 0
        self.dropped = 0
        """Steps that were not written so far, as last heard."""
        self.paused = False
        """Whether steps are being dropped because the disk is nearly full, as last heard."""
        self._heard: Queue[dict[str, Any]] = Queue()
        Thread(target=self._hear, daemon=True).start()
        self.folder = Path(self._answer()["folder"])

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
    ) -> LiveRecorder:
        """Start a recording process and a capture under `root`; raises `CaptureError` as `CaptureWriter` does."""
        package_root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(
            part for part in (package_root, os.environ.get("PYTHONPATH")) if part
        )
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "recorder.capture.live_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        start = {
            "root": str(root.resolve()),
            "spec": spec.model_dump(mode="json"),
            "info": info.model_dump(mode="json"),
            "profile": None if profile is None else asdict(profile),
            "queue": queue,
            "disk_needed": disk_needed,
            "disk_pause": disk_pause,
        }
        write_message(_pipe(process.stdin), start)
        return cls(process, spec)

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
        """Send the game's next frame and the action active after it; returns the step's number."""
        if frame.shape != self._spec.frame.shape or frame.dtype != np.uint8:
            raise CaptureError(
                f"{self._spec.id} has uint8 frames of {self._spec.frame.shape}, got {frame.dtype} {frame.shape}"
            )
        values = {
            "action": self._spec.normalize(action),
            "executed": None if executed is None else self._spec.normalize(executed),
            "by": by,
            "reward": reward,
            "t_ns": time.monotonic_ns() if t_ns is None else t_ns,
            "observed": observed,
        }
        self._send({"do": "step", "tick": self.steps, "values": values}, frame.tobytes())
        self.steps += 1
        return self.steps - 1

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
        """Send a text about the steps from `i0` (now where None; earlier to back-date); returns the text's id."""
        values = {
            "style": style, "text": text, "i0": self.steps if i0 is None else i0, "i1": i1,
            "t0_ns": time.monotonic_ns() if t0_ns is None else t0_ns, "t1_ns": t1_ns,
            "source": source, "author": author, "supersedes": supersedes,
        }  # fmt: skip
        self._send({"do": "text", "values": values})
        self._texts += 1
        return self._texts - 1

    def event(self, kind: str, **values: Any) -> None:
        """Send a raw input or game event."""
        values = {"t_ns": time.monotonic_ns(), **values}
        self._send({"do": "event", "kind": kind, "values": values})

    def close(self, *, success: bool | None = None, interrupted: bool = False) -> LiveReport:
        """Have everything written and the capture closed; a second call returns the same report."""
        return self._end({"do": "close", "success": success, "interrupted": interrupted})

    def discard(self) -> None:
        """Have the capture deleted instead of closed."""
        self._end({"do": "discard"})

    def _end(self, message: dict[str, Any]) -> LiveReport:
        if self._report is None:
            if not self._broken:  # else the end of the pipe means interrupted
                self._send(message)
            with suppress(OSError):
                self._pipe.close()
            self._report = LiveReport(**self._answer())
            self._process.wait(CLOSE_TIMEOUT_S)
        return self._report

    def _send(self, message: dict[str, Any], blob: bytes = b"") -> None:
        self._broken = True  # until all of it is in the pipe: Ctrl-C may come in between
        try:
            write_message(self._pipe, message, blob)
            self._broken = False
        except (OSError, ValueError):
            raise CaptureError(
                f"the process recording {self.folder} ended (exit {self._process.poll()}); "
                "what it received is on disk: run `iafm episodes recover`"
            ) from None

    def _answer(self) -> dict[str, Any]:
        answer = self._heard.get()
        if "error" in answer:
            self._heard.put(answer)
            with suppress(OSError):
                self._pipe.close()
            ended = f"the recording process ended early (exit {self._process.wait()})"
            raise CaptureError(answer["error"] or ended)
        return answer

    def _hear(self) -> None:
        """Read the process's answers until it ends."""
        with self._answers:
            for line in self._answers:
                answer = json.loads(line)
                if "paused" in answer:
                    self.dropped, self.paused = answer["dropped"], answer["paused"]
                else:
                    self._heard.put(answer)
        self._heard.put({"error": ""})

    def __enter__(self) -> LiveRecorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(interrupted=kind is not None)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "the process was started with pipes"
    return stream

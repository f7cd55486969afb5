"""The recording process as the game's process sees it: lines of JSON to it and from it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from recorder.format.manifest import CaptureError, DiskFullError

CLOSE_TIMEOUT_S = 120.0
"""Seconds that `end` waits for the recording process to finish its file."""


class RecordingEndedError(CaptureError):
    """The recording process has ended before the game; what was recorded until then is safe."""


class RecordingProcess:
    """A running `recorder.capture.live_process`; both pipes hold a few short lines at most, so nothing blocks."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.written = self.lowered = 0
        """Steps in the capture's files, and times that the quality was lowered, as last heard."""
        package_root = str(Path(__file__).resolve().parents[2])
        path = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "recorder.capture.live_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )
        self._to, self._from = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._partial = b""
        self._end: dict[str, Any] | None = None
        self._failure: CaptureError | None = None
        self.folder = Path()
        self.send(start)
        while not self.folder.name:
            self.hear(wait=True)

    def send(self, message: dict[str, Any]) -> None:
        """Write a line; raises `RecordingEndedError`."""
        try:
            self._to.write(json.dumps(message).encode() + b"\n")
        except (OSError, ValueError):
            self.hear(wait=True)  # raises the reason, where it gave one
            raise self._ended() from None

    def hear(self, *, wait: bool = False, timeout_s: float | None = None) -> None:
        """Take in the lines that are there, with `wait` at least one; raises what the process failed with."""
        timeout = timeout_s if wait else 0.0
        while not self._from.closed and select.select([self._from], [], [], timeout)[0]:
            content = os.read(self._from.fileno(), 1 << 16)
            if not content:
                self._from.close()
                break
            *lines, self._partial = (self._partial + content).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            timeout = 0.0
        if self._from.closed and self._end is None:
            raise self._failure or self._ended()

    def end(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send the last message and wait for the process to finish; returns its report."""
        try:
            if self._end is None and not self._to.closed:
                self.send(message)
            self._to.close()
            while self._end is None:
                before = self.written
                self.hear(wait=True, timeout_s=CLOSE_TIMEOUT_S)
                if self._end is None and self.written == before:
                    raise CaptureError(
                        f"{self.folder}: not finished after {CLOSE_TIMEOUT_S:.0f} s; the recording process goes on"
                    )
        finally:
            self._to.close()
        self._from.close()
        self._process.wait(CLOSE_TIMEOUT_S)
        return self._end

    def _take(self, answer: dict[str, Any]) -> None:
        if "error" in answer:
            self._to.close()
            self._from.close()
            self._process.wait()
            kind = DiskFullError if answer["disk_full"] else RecordingEndedError
            self._failure = kind(answer["error"])
            raise self._failure
        self.folder = Path(answer.get("folder", self.folder))
        self.written = answer.get("written", self.written)
        self.lowered = answer.get("lowered", self.lowered)
        self._end = answer if "steps" in answer else None

    def _ended(self) -> RecordingEndedError:
        with_code = f"ended (exit {self._process.wait()})"
        if not self.folder.name:
            return RecordingEndedError(f"the recording process {with_code}")
        return RecordingEndedError(
            f"the process recording {self.folder} {with_code}; all steps, texts and events until then are on disk: "
            "run `iafm episodes recover`"
        )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "the process was started with pipes"
    return stream

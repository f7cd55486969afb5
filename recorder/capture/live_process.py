"""Recording process: `python -m recorder.capture.live_process`, started by `LiveRecorder`.

It ends with the game: signals meant for the process group (Ctrl-C, SIGTERM, a closed terminal) are ignored, and the
end of the pipe means that the game is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from games import GameSpec
from recorder.capture.spool import Spool
from recorder.capture.writer import CaptureWriter
from recorder.format.manifest import CaptureError, CaptureInfo, DiskFullError
from recorder.format.video import VideoProfile

QUALITY_COOLDOWN = 40
"""Steps to wait after one lowering of quality before the next."""


class SpoolWorker:
    """Writes the steps of a spool into a capture; `answer` hears of each."""

    def __init__(
        self, capture: CaptureWriter, spool: Spool, answer: Callable[[dict[str, Any]], None]
    ) -> None:
        self._capture = capture
        self._spool = spool
        self._answer = answer
        self._lowered = 0
        self._lowered_at = -QUALITY_COOLDOWN

    def write_all(self) -> None:
        """Write every step that the game has put so far."""
        while (waiting := self._spool.update() - self._capture.steps) > 0:
            if waiting > self._spool.slots // 2 and self._has_cooled_down():
                self._lowered += self._capture.lower_quality()
                self._lowered_at = self._capture.steps
            self._capture.write_spooled(*self._spool.read(self._capture.steps))
            self._answer({"written": self._capture.steps, "lowered": self._lowered})

    def _has_cooled_down(self) -> bool:
        return self._capture.steps - self._lowered_at >= QUALITY_COOLDOWN


def main() -> int:
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    first = sys.stdin.buffer.readline()
    if not first.endswith(b"\n"):  # the game was killed before it had begun
        return 0
    try:
        capture, spool = _start(json.loads(first))
    except (CaptureError, OSError) as error:
        _answer_error(str(error), error)
        return 2
    _answer({"folder": str(capture.folder)})
    try:
        _record(capture, spool)
    except Exception as error:  # the encoder may raise anything; what was written stays
        _answer_error(_failure(capture, error), error)
        return 2
    return 0


def _start(start: dict[str, Any]) -> tuple[CaptureWriter, Spool]:
    spec = GameSpec.model_validate(start["spec"])
    info = CaptureInfo.model_validate(start["info"])
    capture = CaptureWriter.create(
        Path(start["root"]), spec, info,
        profile=start["profile"] and VideoProfile(**start["profile"]),
        disk_needed=start["disk_needed"], disk_pause=0,  # the game's process looks at the disk
    )  # fmt: skip
    try:
        return capture, Spool.create(capture.folder, spec.frame.shape, start["queue"])
    except BaseException:
        capture.discard()
        raise


def _record(capture: CaptureWriter, spool: Spool) -> None:
    """Write until the game closes or discards the capture, or ends."""
    worker = SpoolWorker(capture, spool, _answer)
    end: dict[str, Any] = {"do": "close", "success": None, "interrupted": True}
    for line in iter(sys.stdin.buffer.readline, b""):
        message = json.loads(line)
        if message["do"] != "step":
            end = message
            break
        worker.write_all()
    if end.pop("do") == "discard":
        capture.discard()
    else:
        worker.write_all()
        capture.close(**end)
    _answer({"steps": capture.steps})


def _failure(capture: CaptureWriter, error: Exception) -> str:
    return (
        f"recording {capture.folder} failed: {error}; all steps, texts and events until then are on disk: "
        "run `iafm episodes recover`"
    )


def _answer(answer: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):  # the game has ended; the capture is closed all the same
        os.write(1, json.dumps(answer).encode() + b"\n")


def _answer_error(text: str, error: Exception) -> None:
    _answer({"error": text, "disk_full": isinstance(error, DiskFullError)})


if __name__ == "__main__":
    sys.exit(main())

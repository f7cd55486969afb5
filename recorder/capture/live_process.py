"""Recording process: `python -m recorder.capture.live_process`, started by `LiveRecorder`."""

from __future__ import annotations

import bisect
import json
import signal
import sys
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO, Any

import numpy as np

from games import GameSpec
from recorder.capture.pipe import read_message
from recorder.capture.writer import CaptureWriter
from recorder.format.manifest import CaptureError, CaptureInfo
from recorder.format.video import VideoProfile

Item = tuple[dict[str, Any], bytes]
QUALITY_COOLDOWN = 40
"""Steps to wait after one lowering of quality before the next."""


class PipeReader:
    """Reads messages from the pipe at once and queues them; the only place where a step is dropped."""

    def __init__(self, pipe: IO[bytes], queue_max: int, lockstep: bool) -> None:
        self.queue_max = queue_max
        self.queue: Queue[Item | None] = Queue()
        self._pipe = pipe
        self._lockstep = lockstep
        self._waiting = Queue[None](queue_max)

    def run(self) -> None:
        while (item := read_message(self._pipe)) is not None:
            message, blob = item
            if message["do"] == "step":
                if self._waiting.full() and not self._lockstep:
                    message, blob = {**message, "do": "drop"}, b""
                else:
                    self._waiting.put(None)
            self.queue.put((message, blob))
        self.queue.put(None)

    @property
    def steps_waiting(self) -> int:
        return self._waiting.qsize()

    def step_taken(self) -> None:
        self._waiting.get_nowait()


class CaptureWorker:
    """Writes the queued messages into a capture."""

    def __init__(self, capture: CaptureWriter, reader: PipeReader, spec: GameSpec) -> None:
        self._capture = capture
        self._reader = reader
        self._shape = spec.frame.shape
        self._ticks: list[int] = []  # the game's number of each written frame
        self._lowered = self._queued = 0
        self._lowered_at = -QUALITY_COOLDOWN
        self._told: dict[str, Any] = {"dropped": 0, "paused": False}

    def run(self) -> dict[str, int]:
        """Write until the game closes the capture or ends; returns the report."""
        end: dict[str, Any] = {"success": None, "interrupted": True}
        while (item := self._reader.queue.get()) is not None:
            message, blob = item
            match message["do"]:
                case "step":
                    self._step(message, blob)
                case "drop":
                    self._capture.count_dropped()
                    self._capture.event(
                        "dropped", tick=message["tick"], action=message["values"]["action"]
                    )
                case "text":
                    values = message["values"]
                    self._capture.text(
                        **values
                        | {
                            "i0": self._frame_index(values["i0"]),
                            "i1": self._frame_index(values["i1"]),
                        }
                    )
                case "event":
                    self._capture.event(message["kind"], **message["values"])
                case "discard":
                    self._capture.discard()
                    return self._report()
                case "close":
                    end = {key: message[key] for key in ("success", "interrupted")}
            self._tell()
        self._capture.close(**end)
        return self._report()

    def _tell(self) -> None:
        """Answer what has changed of the steps that are dropped."""
        state = {"dropped": self._capture.dropped, "paused": self._capture.paused}
        if state != self._told:
            self._told = state
            _answer(state)

    def _report(self) -> dict[str, int]:
        return {
            "steps": self._capture.steps,
            "dropped": self._capture.dropped,
            "lowered": self._lowered,
            "queued": self._queued,
        }

    def _step(self, message: dict[str, Any], blob: bytes) -> None:
        waiting = self._reader.steps_waiting
        self._queued = max(self._queued, waiting)
        if (
            waiting > self._reader.queue_max // 2
            and self._has_cooled_down()
            and self._capture.lower_quality()
        ):
            self._lowered += 1
            self._lowered_at = self._capture.steps
        before = self._capture.steps
        frame = np.frombuffer(blob, np.uint8).reshape(self._shape)
        self._capture.step(frame, **message["values"])
        self._reader.step_taken()
        if self._capture.steps > before:
            self._ticks.append(message["tick"])

    def _has_cooled_down(self) -> bool:
        return self._capture.steps - self._lowered_at >= QUALITY_COOLDOWN

    def _frame_index(self, tick: int | None) -> int | None:
        """The first written frame that is not before the game's step."""
        return None if tick is None else bisect.bisect_left(self._ticks, tick)


def main() -> int:
    for name in ("SIGINT", "SIGHUP"):  # Ctrl-C is meant for the game, whose end ends this process
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    first = read_message(sys.stdin.buffer)
    if first is None:
        return 0
    start, _ = first
    spec = GameSpec.model_validate(start["spec"])
    info = CaptureInfo.model_validate(start["info"])
    profile = start["profile"] and VideoProfile(**start["profile"])
    guard = {key: start[key] for key in ("disk_needed", "disk_pause")}
    try:
        capture = CaptureWriter.create(Path(start["root"]), spec, info, profile=profile, **guard)
    except (CaptureError, OSError) as error:
        _answer({"error": str(error)})
        return 2
    _answer({"folder": str(capture.folder)})
    reader = PipeReader(sys.stdin.buffer, start["queue"], info.clock == "lockstep")
    Thread(target=reader.run, daemon=True).start()
    try:
        _answer(CaptureWorker(capture, reader, spec).run())
    except (CaptureError, OSError, ValueError) as error:
        _answer({"error": f"recording {capture.folder} failed: {error}"})
        return 2
    return 0


def _answer(answer: dict[str, Any]) -> None:
    try:
        print(json.dumps(answer), flush=True)
    except BrokenPipeError:  # the game has ended; the capture is closed all the same
        sys.stdout = None


if __name__ == "__main__":
    sys.exit(main())

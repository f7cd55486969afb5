"""Game of the crash benchmark: `python -m agent_core.bench.crash.game PLAN`.

Every frame, action, event and text carries its number. Whatever the recorder accepted (its call returned) goes to an
append-only log, to be compared with what is read back.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from games import Action, Button, Frame, FrameSize, GameSpec
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    DiskFullError,
    LiveRecorder,
    RecordingEndedError,
)
from recorder.format.append_file import AppendFile
from recorder.format.manifest import Clock

BLOCK, GRID = 16, 4
"""A frame shows its number as 16 bits: black and white blocks of 16 x 16 pixels, which compression keeps apart."""
BUTTONS = 8
EVENT_PROB, TEXT_PROB = 0.6, 0.2


@dataclass(frozen=True)
class Plan:
    """How the game plays: `scale` enlarges the frame, `steps` ends the game."""

    out: str
    log: str
    seed: int
    recorder: str = "live"
    clock: Clock = "wallclock"
    steps: int = 10_000
    step_hz: float = 20.0
    scale: int = 1
    file_limit: int = 0
    """Largest file that the game's process may write, in bytes; 0: no limit."""
    restarts: bool = True
    """Whether to go on in a new capture when the recording process dies."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", __name__, json.dumps(asdict(self))]


def spec_of(scale: int = 1) -> GameSpec:
    side = BLOCK * GRID * scale
    buttons = tuple(Button(name=f"bit_{k}") for k in range(BUTTONS))
    frame = FrameSize(height=side, width=side)
    return GameSpec(id="crash-v0", title="Crash", frame=frame, step_hz=20, controls=buttons)


def frame_of(number: int, scale: int = 1) -> Frame:
    """The picture of a number below 65,536."""
    bits = [(number >> k) & 1 for k in range(GRID * GRID)]
    grid = np.array(bits, np.uint8).reshape(GRID, GRID) * 219 + 16
    grey = grid.repeat(BLOCK * scale, 0).repeat(BLOCK * scale, 1)
    return np.ascontiguousarray(np.broadcast_to(grey[..., None], (*grey.shape, 3)))


def number_in(frame: Frame) -> int:
    """The number that a picture shows."""
    side = frame.shape[0] // GRID
    means = frame.mean(-1).reshape(GRID, side, GRID, side).mean((1, 3)).ravel()
    return sum(int(mean > 128) << k for k, mean in enumerate(means))


def action_of(number: int) -> Action:
    return {f"bit_{k}": (number >> k) & 1 for k in range(BUTTONS)}


class Log:
    """What was accepted, a line each."""

    def __init__(self, path: Path) -> None:
        self._file = AppendFile(path)

    def __call__(self, **row: Any) -> None:
        self._file.append_line(row)


def play(plan: Plan) -> int:
    """Play until `steps`; returns 3 where the recorder met a full disk, 4 where it failed otherwise."""
    log = Log(Path(plan.log))
    try:
        recorder = _recorder(plan)
        log(capture=recorder.folder.name)
        game = _Game(plan, log)
        while game.number < plan.steps:
            with recorder:
                try:
                    game.play(recorder)
                except RecordingEndedError as error:
                    log(ended=str(error))
                    if not plan.restarts or not isinstance(recorder, LiveRecorder):
                        raise
                    recorder = recorder.restart()
                    log(capture=recorder.folder.name)
        log(closed=True)
    except DiskFullError as error:
        log(full=str(error))
        return 3
    except CaptureError as error:
        log(error=str(error))
        return 4
    return 0


class _Game:
    """Numbers its steps, events and texts through all captures."""

    def __init__(self, plan: Plan, log: Log) -> None:
        self.number = self._notes = 0
        self._plan, self._log = plan, log
        self._rng = np.random.default_rng(plan.seed)

    def play(self, recorder: LiveRecorder | CaptureWriter) -> None:
        due = time.monotonic()
        while self.number < self._plan.steps:
            number, began = self.number, time.monotonic()
            tick = recorder.step(frame_of(number, self._plan.scale), action_of(number))
            self._log(step=number, queued=getattr(recorder, "queued", 0), dropped=recorder.dropped,
                      ms=round(1000 * (time.monotonic() - began), 1))  # fmt: skip
            self.number += 1
            while self._rng.random() < EVENT_PROB:
                recorder.event("note", number=self._notes)
                self._log(event=self._notes)
                self._notes += 1
            if self._rng.random() < TEXT_PROB:
                recorder.text(style="thought", text=str(number), i0=tick)
                self._log(text=number)
            due = max(due + 1 / self._plan.step_hz, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


def _recorder(plan: Plan) -> LiveRecorder | CaptureWriter:
    kind = LiveRecorder if plan.recorder == "live" else CaptureWriter
    info = CaptureInfo(seed=plan.seed, clock=plan.clock)
    return kind.create(Path(plan.out), spec_of(plan.scale), info, disk_needed=0, disk_pause=0)


def main() -> int:
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # background jobs begin with it ignored
    plan = Plan(**json.loads(sys.argv[1]))
    if plan.file_limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (plan.file_limit, plan.file_limit))
    return play(plan)


if __name__ == "__main__":
    sys.exit(main())

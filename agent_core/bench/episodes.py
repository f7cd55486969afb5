"""Benchmark of episodes: memory and time of validation, export and imports of long play."""

from __future__ import annotations

import os
import resource
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from agent_core.training.progress_bar import ProgressBar
from games import Action, Frame, Game
from games.minecraft import SPEC
from recorder import CaptureError, CaptureInfo, CaptureWriter
from recorder.format.manifest import VIDEO
from recorder.formats.lerobot.vectors import from_rows


def _action(row: Sequence[float]) -> Action:
    return from_rows(SPEC, np.array([row], np.float32))[0]


GAME = Game(spec=SPEC, from_vector=_action)
"""Minecraft, also from the rows of numbers that its exported dataset has."""


def bench_episodes(minutes: float, folder: Path | None = None) -> dict[str, Any]:
    """Figures by stage: `peak_mb` of the process, `seconds`, and how many times faster than the play was.

    A capture of so many minutes at 640 x 360 and 20 Hz is made in a temporary folder inside `folder` (the system's
    where None), and deleted afterwards; an hour takes about 3 GB there. Raises `CaptureError` where a stage fails.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        root = Path(place)
        steps = max(1, round(60 * minutes * SPEC.step_hz))
        capture = _record(root / "captures", steps)
        dataset, vpt = root / "dataset", root / "vpt"
        stages = {
            "validate": ["validate", str(root / "captures")],
            "export": ["export", str(root / "captures"), "--out", str(dataset)],
            "import_lerobot": ["import", str(dataset), "--game", f"{__name__}:GAME", "--out", str(root / "a")],
            "export_vpt": ["export", str(root / "captures"), "--format", "vpt", "--out", str(vpt)],
            "import_vpt": ["import", str(vpt), "--out", str(root / "b")],
        }  # fmt: skip
        report: dict[str, Any] = {
            "minutes": round(steps / SPEC.step_hz / 60, 3),
            "capture_mb": round((capture / VIDEO).stat().st_size / 1e6, 1),
        }
        for name, arguments in stages.items():
            report[name] = _measure(["episodes", *arguments], steps / SPEC.step_hz)
    return report


def _record(root: Path, steps: int) -> Path:
    """A capture of moving pictures; every twentieth step turns."""
    about = CaptureInfo(instruction="look around", task="look", seed=0, actor="random")
    draw = _pictures()
    with (
        ProgressBar("making a capture") as update,
        CaptureWriter.create(root, SPEC, about) as capture,
    ):
        for i in range(steps):
            turn = {"camera": (0.0, 9.0)} if i % 20 == 0 else {}
            capture.step(draw(i), {"forward": int(i % 40 < 20), **turn})
            update(i + 1, steps)
        capture.close(success=True)
    return capture.folder


def _pictures() -> Callable[[int], Frame]:
    """Frame i is a pattern of blocks, moved by 3 i pixels."""
    height, width, _ = SPEC.frame.shape
    random = np.random.default_rng(0)
    blocks = random.integers(0, 255, (height // 20, width // 20, 3), np.uint8)
    pattern = blocks.repeat(20, 0).repeat(20, 1)
    return lambda i: np.roll(pattern, 3 * i, axis=1)


def _measure(argv: list[str], play_s: float) -> dict[str, float]:
    """Run a command in a fresh process."""
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(argv, writer))
    process.start()
    writer.close()
    try:
        code, seconds, peak_mb = reader.recv()
    except EOFError:
        process.join()
        raise CaptureError(f"`iafm {' '.join(argv)}` died: exit {process.exitcode}") from None
    process.join()
    if code:
        raise CaptureError(f"`iafm {' '.join(argv)}` failed: exit {code}")
    times = round(play_s / max(seconds, 1e-9), 1)
    return {"peak_mb": peak_mb, "seconds": seconds, "x_real_time": times}


def _run(argv: list[str], writer: Connection) -> None:
    """In the process: the exit code, the time and the process's peak memory; what the command prints goes nowhere."""
    code: object = None
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        sys.stdout, sys.argv = nowhere, ["iafm", *argv]
        started = time.monotonic()
        try:
            runpy.run_module("agent_core", run_name="__main__")
        except SystemExit as end:
            code = end.code
        seconds = round(time.monotonic() - started, 2)
    writer.send((code, seconds, _peak_mb()))
    writer.close()


def _peak_mb() -> float:
    """Peak resident memory of this process, in MB; not of the one it was started from, which `getrusage` counts too."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        kib = int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, ValueError, IndexError):
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kib * 1024 / 1e6, 1)

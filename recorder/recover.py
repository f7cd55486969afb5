"""What if the recorder died? Cut each abandoned capture to what is whole on all tracks, and mark it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from recorder.layout import (
    ACTIONS,
    FRAMES,
    MANIFEST,
    VIDEO,
    CaptureError,
    Manifest,
    write_atomically,
)


@dataclass(frozen=True)
class Recovered:
    """What became of one folder: "recovered", "still recording", or why nothing could be done."""

    folder: Path
    outcome: str
    steps: int = 0


def recover(root: Path) -> list[Recovered]:
    """Look after every capture under `root` that was left open; closed ones are not touched."""
    folders = sorted(p.parent for p in root.glob(f"*/{MANIFEST}"))
    reports = [_recover_one(folder) for folder in folders]
    orphans = [Recovered(p, f"no {MANIFEST}: not a capture") for p in sorted(root.glob("*_*_*")) if
               p.is_dir() and not (p / MANIFEST).exists()]  # fmt: skip
    return [report for report in reports if report is not None] + orphans


def _recover_one(folder: Path) -> Recovered | None:
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except ValueError as error:
        return Recovered(folder, f"{MANIFEST} is damaged: {str(error).splitlines()[0]}")
    if manifest.status != "recording":
        return None
    if _alive(manifest):
        return Recovered(folder, "still recording")
    try:
        steps = min(
            _frames(folder / VIDEO), _whole_lines(folder / ACTIONS), _whole_lines(folder / FRAMES)
        )
    except CaptureError as error:
        return Recovered(folder, str(error))
    if steps == 0:
        return Recovered(folder, "nothing whole was written")
    for name in (ACTIONS, FRAMES):
        _cut(folder / name, steps)
    done = manifest.model_copy(update={"status": "recovered", "writer": 0, "steps": steps})
    write_atomically(folder / MANIFEST, done.model_dump_json())
    return Recovered(folder, "recovered", steps)


def _alive(manifest: Manifest) -> bool:
    """Whether the process that wrote it still runs (and is no younger one with the same number)."""
    if not manifest.writer:
        return False
    try:
        os.kill(manifest.writer, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    started = Path(f"/proc/{manifest.writer}")
    if not started.exists():
        return True
    return started.stat().st_ctime_ns <= manifest.start_wall_ns + 10**9


def _frames(video: Path) -> int:
    """Frames that decode from the start on."""
    count = 0
    try:
        with av.open(str(video)) as container:
            for _ in container.decode(container.streams.video[0]):
                count += 1
    except (av.FFmpegError, IndexError, OSError) as error:
        if count == 0:
            raise CaptureError(f"the video cannot be read: {error}") from None
    return count


def _whole_lines(path: Path) -> int:
    """Lines that end and are JSON, counted from the start."""
    count = 0
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            row: Any = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or row.get("i") != count:
            break
        count += 1
    return count


def _cut(path: Path, lines: int) -> None:
    kept = path.read_bytes().split(b"\n")[:lines]
    write_atomically(path, "".join(line.decode() + "\n" for line in kept))

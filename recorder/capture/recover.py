"""Recovery: each capture of a dead writer is cut to the steps that are intact on all tracks, and marked."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.capture.writer import truncate_lines
from recorder.format.actions import read_action_rows
from recorder.format.manifest import (
    ACTIONS,
    EVENTS,
    FRAMES,
    MANIFEST,
    TEXT,
    VIDEO,
    CaptureError,
    Manifest,
    process_state,
    read_lines,
    read_manifest,
    write_manifest,
    write_rows,
)
from recorder.format.video import count_frames, frame_rate, remux


@dataclass(frozen=True)
class Recovered:
    """Result for one folder: "recovered", "still recording", or the reason why it was not recovered."""

    folder: Path
    outcome: str
    steps: int = 0


def recover(root: Path) -> list[Recovered]:
    """Recover every capture under `root` that was left open; closed ones are not touched."""
    folders = sorted(p.parent for p in root.glob(f"*/{MANIFEST}"))
    reports = [_recover_one(folder) for folder in folders]
    orphans = [Recovered(p, f"no {MANIFEST}: not a capture") for p in sorted(root.glob("*_*_*")) if
               p.is_dir() and not (p / MANIFEST).exists()]  # fmt: skip
    return [report for report in reports if report is not None] + orphans


def _recover_one(folder: Path) -> Recovered | None:
    try:
        manifest = read_manifest(folder)
        if manifest.status != "recording":
            return None
        if is_being_written(manifest):
            return Recovered(folder, "still recording")
        steps = min(
            count_frames(folder / VIDEO, frame_rate(manifest.spec)),
            _intact_lines(folder / ACTIONS, numbered=True),
            _intact_lines(folder / FRAMES, numbered=True),
        )
        if steps == 0:
            return Recovered(folder, "no complete step was written; it can be deleted")
        _cut_actions(folder, manifest.info.actor, steps)
        truncate_lines(folder / FRAMES, steps)
        for name in (EVENTS, TEXT):
            if (folder / name).exists():
                truncate_lines(folder / name, _intact_lines(folder / name))
        _clamp_texts(folder / TEXT, steps)
        remux(folder / VIDEO, steps)
    except CaptureError as error:
        return Recovered(folder, str(error))
    except (OSError, ValueError) as error:
        return Recovered(folder, f"cannot be recovered: {error}")
    done = manifest.model_copy(
        update={"status": "recovered", "writer": 0, "writer_started": None, "steps": steps}
    )
    write_manifest(folder, done)
    return Recovered(folder, "recovered", steps)


def _cut_actions(folder: Path, actor: str, steps: int) -> None:
    """Cut to `steps` lines, rewritten as of the current format, as the new manifest is."""
    truncate_lines(folder / ACTIONS, steps)
    write_rows(folder / ACTIONS, read_action_rows(folder, actor))


def _clamp_texts(path: Path, steps: int) -> None:
    """Move texts about steps that are cut off to the end: nothing typed is lost."""
    rows = read_lines(path)
    for row in rows:
        for end in ("i0", "i1"):
            if row.get(end) is not None:
                row[end] = min(row[end], steps)
    write_rows(path, rows)


def is_being_written(manifest: Manifest) -> bool:
    """Whether its writing process still runs, and is no younger one with the same number."""
    return bool(manifest.writer) and is_running(manifest.writer, manifest.writer_started)


def is_running(process: int, started: int | None) -> bool:
    """Whether a process with this number runs that began at `started` (clock ticks since boot; None: not known)."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    state = process_state(process)
    if state is None:
        return True
    letter, began = state
    return letter not in "ZX" and started in (None, began)


def _intact_lines(path: Path, *, numbered: bool = False) -> int:
    """Number of complete lines from the start on that are JSON objects (with "i" counting up, where numbered)."""
    count = 0
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
        try:
            row: Any = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or (numbered and row.get("i") != count):
            break
        count += 1
    return count

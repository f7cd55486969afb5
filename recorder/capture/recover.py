"""Recovery: each capture of a dead writer is completed from its spool, cut to what is intact on all tracks, and marked.

Every step of it can be repeated: after a kill the next run does the same again, from what is on disk then.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from games import Frame
from recorder.capture.spool import SPOOL, Spool
from recorder.capture.writer import CaptureWriter
from recorder.format.actions import as_format_2
from recorder.format.atomic import DRAFT, replaced_file
from recorder.format.manifest import (
    ACTIONS,
    EVENTS,
    FRAMES,
    MANIFEST,
    TEXT,
    VIDEO,
    CaptureError,
    Manifest,
    read_manifest,
    write_manifest,
)
from recorder.format.process import is_running
from recorder.format.video import count_frames, frame_rate, growing_frames, profile_for, remux

logger = logging.getLogger("iafm.record")
Row = dict[str, Any]
LINES_AT_ONCE = 1000
_CAPTURE_NAME = re.compile(r"\d{8}T\d{6}_[a-z0-9_-]+_[0-9a-f]{8}")


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
    orphans = [_without_manifest(p) for p in sorted(root.glob("*_*_*")) if
               p.is_dir() and not (p / MANIFEST).exists()]  # fmt: skip
    return [report for report in reports if report is not None] + orphans


def _without_manifest(folder: Path) -> Recovered:
    ours = {MANIFEST + DRAFT, Path(VIDEO).parent.name}
    if _CAPTURE_NAME.fullmatch(folder.name) and {p.name for p in folder.iterdir()} <= ours:
        return Recovered(folder, f"no {MANIFEST}: killed while it was begun; {_delete(folder)}")
    return Recovered(folder, f"no {MANIFEST}: not a capture")


def _delete(folder: Path) -> str:
    return f"delete it: rm -r {shlex.quote(str(folder))}"


def _recover_one(folder: Path) -> Recovered | None:
    try:
        manifest = read_manifest(folder)
        if manifest.status != "recording":
            return None
        if is_being_written(manifest):
            return Recovered(folder, "still recording")
        steps = _complete(folder, manifest)
        if steps == 0:
            texts = sum(1 for _ in _rows(folder / TEXT))
            lost = (
                f"no complete step was written, {texts} texts" if texts else "no step was written"
            )
            return Recovered(folder, f"{lost}; {_delete(folder)}")
        done = manifest.model_copy(
            update={"status": "recovered", "writer": 0, "writer_started": None, "steps": steps}
        )
        write_manifest(folder, done)
    except CaptureError as error:
        return Recovered(folder, str(error))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Recovered(folder, f"cannot be recovered: {error}")
    return Recovered(folder, "recovered", steps)


def _complete(folder: Path, manifest: Manifest) -> int:
    """Bring all files to the same steps and the video to its final form; returns the number of steps."""
    rate = frame_rate(manifest.spec)
    ends = growing_frames(folder / VIDEO, rate) if _has_header(folder) else [0]
    frames = len(ends) - 1 if ends else count_frames(folder / VIDEO, rate)
    tracks = (frames, _intact_lines(folder / ACTIONS), _intact_lines(folder / FRAMES))
    steps, has_spool = min(tracks), (folder / SPOOL).exists()
    if not steps and max(tracks) > 1:  # a kill leaves a difference of one
        raise CaptureError("no step is whole: {} frames, {} actions, {} times".format(*tracks))
    if steps or has_spool:
        _cut(folder, steps, ends)
    if ends and has_spool:
        steps = _write_spooled(folder, manifest, steps)
    if not steps:
        return 0
    _rewrite(folder / ACTIONS, lambda row: as_format_2(row, manifest.info.actor))
    _rewrite(folder / EVENTS, lambda row: row)
    _rewrite(folder / TEXT, lambda row: _moved_before(row, steps))
    remux(folder / VIDEO, steps)
    (folder / SPOOL).unlink(missing_ok=True)
    for draft in folder.rglob("*" + DRAFT):
        draft.unlink()
    return steps


def _has_header(folder: Path) -> bool:
    return (folder / VIDEO).exists() and (folder / VIDEO).stat().st_size > 0


def _cut(folder: Path, steps: int, ends: list[int]) -> None:
    """Cut the files to whole steps. FFmpeg opens no growing video that ends in a part of a fragment's head."""
    for name in (ACTIONS, FRAMES):
        _cut_lines(folder / name, steps)
    if ends and _has_header(folder):
        os.truncate(folder / VIDEO, ends[steps])


def _write_spooled(folder: Path, manifest: Manifest, steps: int) -> int:
    """Write the steps that the recording process had not come to; returns how many steps there are then."""
    spool = Spool.open(folder, manifest.spec.frame.shape)
    try:
        if steps < spool.counted <= steps + spool.slots:
            return _write_rest(folder, manifest, steps, spool)
        return steps
    finally:
        spool.close()


def _write_rest(folder: Path, manifest: Manifest, steps: int, spool: Spool) -> int:
    last = deque(_rows(folder / FRAMES), maxlen=1)
    dropped = sum(row["game_tick"] - row["i"] for row in last)
    profile = replace(profile_for(manifest.spec), pixel_format=manifest.pixel_format)
    capture = CaptureWriter(folder, manifest, profile, disk_pause=0, steps=steps, dropped=dropped)
    try:
        while capture.steps < spool.counted and (step := _intact(spool, capture.steps)):
            capture.write_spooled(*step)
    finally:
        capture.close_files()
    return capture.steps


def _intact(spool: Spool, number: int) -> tuple[Frame, Row] | None:
    try:
        return spool.read(number)
    except CaptureError as error:
        logger.warning("%s: it and the %d after it are left out", error, spool.counted - number - 1)
        return None


def _moved_before(row: Row, steps: int) -> Row:
    """A text about steps that are cut off, moved to the end: nothing typed is lost."""
    ends = {name: min(row[name], steps) for name in ("i0", "i1") if isinstance(row.get(name), int)}
    return {**row, **ends}


def _cut_lines(path: Path, lines: int) -> None:
    """Keep the first `lines` lines of a file."""
    if path.exists():
        with path.open("rb") as file:
            size = sum(map(len, islice(file, lines)))
        os.truncate(path, size)


def _rewrite(path: Path, change: Callable[[Row], Row]) -> None:
    """Replace a line file by its intact lines, each as `change` makes it, where that makes a difference."""
    if not path.exists() or all(row is not None and change(row) == row for row in _lines(path)):
        return
    with replaced_file(path) as draft, draft.open("w", encoding="utf-8") as file:
        for row in _rows(path):
            line = json.dumps(change(row), separators=(",", ":"), allow_nan=False)
            file.write(line + "\n")


def _intact_lines(path: Path) -> int:
    """Number of intact lines from the start on whose "i" counts up."""
    count = 0
    for row in _lines(path):
        if row is None or row.get("i") != count:
            break
        count += 1
    return count


def _rows(path: Path) -> Iterator[Row]:
    return (row for row in _lines(path) if row is not None)


def _lines(path: Path) -> Iterator[Row | None]:
    """The objects of a line file, None for a line that is torn or holds no JSON object."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while lines := list(islice(file, LINES_AT_ONCE)):
            try:
                rows = json.loads(b"[" + b",".join(lines) + b"]")  # at once: a third of the time
            except ValueError:
                rows = []
            if len(rows) != len(lines) or not lines[-1].endswith(b"\n"):
                rows = map(_object, lines)
            yield from (row if isinstance(row, dict) else None for row in rows)


def _object(line: bytes) -> Any:
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None


def is_being_written(manifest: Manifest) -> bool:
    """Whether its writing process still runs, and is no younger one with the same number."""
    return bool(manifest.writer) and is_running(manifest.writer, manifest.writer_started)

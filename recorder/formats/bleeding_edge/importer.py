"""Bleeding Edge import: `.npz` files of matches as captures.

A file is read twice, as a stream: once for its numbers, once for its pictures. The capture keeps the `states` of each
step as an event.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from games import GameSpec
from games.resize import resize_frame
from recorder.capture.writer import DISK_NEEDED, CaptureWriter
from recorder.format.manifest import CaptureError, CaptureInfo, ImportSource
from recorder.formats.bleeding_edge.archive import archive
from recorder.formats.bleeding_edge.columns import Columns
from recorder.formats.bleeding_edge.layout import BUTTONS, PADDING, STATE_EVENT, STEP_HZ, TWELFTH
from recorder.formats.bleeding_edge.match import Match, read_match
from recorder.formats.import_job import ImportJob, ImportReport, content_hash, file_hash

SUFFIX = ".npz"
logger = logging.getLogger("iafm.import")


def import_bleeding_edge(
    path: Path,
    out: Path,
    spec: GameSpec,
    *,
    strict: bool = False,
    disk_needed: int = DISK_NEEDED,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write each `.npz` in the folder `path`, or that one file, as a capture of `spec`.

    A file that is damaged, or not of this format, is skipped and named; with `strict` it raises `CaptureError`. That is
    also raised where there is no such file, and where the game lacks two sticks or has another rate than 10 Hz. Files
    of one match share their seed, so that they are in one split.
    """
    files = match_files(path)
    if not files:
        raise CaptureError(f"{path} has no .npz file")
    columns = Columns.of(spec)
    if spec.step_hz != STEP_HZ:
        raise CaptureError(
            f"Bleeding Edge's files have {STEP_HZ:g} steps/s, {spec.id} {spec.step_hz:g}"
        )
    job = ImportJob(out, strict=strict, disk_needed=disk_needed)
    for done, file in enumerate(files, start=1):
        with job.reading(file.name):
            _add(job, file, spec, columns)
        if progress:
            progress(done, len(files))
    return job.report()


def match_files(path: Path) -> list[Path]:
    """The `.npz` files of a folder by name, or that one file."""
    if path.suffix.lower() == SUFFIX and path.is_file():
        return [path]
    if not path.is_dir():
        return []
    return sorted(p for p in path.iterdir() if p.suffix.lower() == SUFFIX and p.is_file())


def _add(job: ImportJob, file: Path, spec: GameSpec, columns: Columns) -> None:
    with archive(file) as opened:
        match = read_match(opened)
        source = ImportSource(
            name=file.name,
            sha256=content_hash(file_hash(file)),
            options=f"game {spec.id}, sticks as {match.axes}",
        )
        if job.holds(source):
            return
        name = match.name or file.stem
        info = CaptureInfo(
            instruction=match.instruction, task=spec.name,
            seed=zlib.crc32(name.encode("utf-8", "replace")), author=name,
        )  # fmt: skip
        with job.capture(spec, info, source) as capture:
            _write(capture, match, spec, columns)
        logger.info("%s: sticks are %s", file.name, match.axes)
        _name_unmapped(file.name, match, columns)


def _write(capture: CaptureWriter, match: Match, spec: GameSpec, columns: Columns) -> None:
    size = spec.frame
    for i, picture in enumerate(match.frames()):
        capture.count_dropped(match.gaps.get(i, 0))
        if match.states is not None and len(state := _unpadded(match.states[i])):
            capture.event(STATE_EVENT, values=state)
        action = columns.action(match.pressed[i].tolist(), match.cells[i].tolist())
        capture.step(resize_frame(picture, size.height, size.width), action)


def _unpadded(state: np.ndarray[tuple[int], np.dtype[np.float32]]) -> list[float]:
    used = np.flatnonzero(state != PADDING)
    return [float(value) for value in state[: used[-1] + 1]] if len(used) else []


def _name_unmapped(name: str, match: Match, columns: Columns) -> None:
    """Say what is pressed in buttons that the game lacks."""
    for column, button in enumerate(BUTTONS):
        if column not in columns.buttons and (presses := int(match.pressed[:, column].sum())):
            which = (
                "of which no meaning is published" if button == TWELFTH else "which the game lacks"
            )
            logger.warning(
                "%s: button %d (%s, %s) is down in %d steps and left out",
                name, column, button, which, presses,
            )  # fmt: skip

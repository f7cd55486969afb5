"""VPT import: contractors' recordings of Minecraft, a folder of NAME.mp4 and NAME.jsonl, as captures.

Rows and pictures belong together by their clocks (`alignment`). Frames are resized to the game's size and encoded
again; where a menu is open, the pointer is drawn into them. The rows are read twice and the pictures decoded once, both
as a stream, so that a recording may be of any length.
"""

from __future__ import annotations

import logging
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from games import Camera, Frame, GameSpec
from games.resize import resize_frame
from recorder.capture.writer import DISK_NEEDED, CaptureWriter
from recorder.format.manifest import CaptureError, CaptureInfo, ImportSource
from recorder.formats.import_job import ImportJob, ImportReport, content_hash, file_hash
from recorder.formats.vpt.actions import BUTTONS, KEYS, ActionReader
from recorder.formats.vpt.alignment import Alignment, align
from recorder.formats.vpt.cursor import with_cursor
from recorder.formats.vpt.folder import (
    Recording,
    Task,
    parse_version,
    recordings,
    version_task,
)
from recorder.formats.vpt.game_state import MENU, POINTER, SLOT, STATE, State
from recorder.formats.vpt.header import read_header
from recorder.formats.vpt.reader import Mouse, RowScan, Tick, rows, scan
from recorder.formats.vpt.row_writer import WINDOW
from recorder.formats.vpt.video import Pictures, pictures, rgb

logger = logging.getLogger("iafm.import")


def import_vpt(
    folder: Path,
    out: Path,
    spec: GameSpec,
    *,
    instruction: str = "",
    task: str = "",
    recorder_version: str = "",
    strict: bool = False,
    disk_needed: int = DISK_NEEDED,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write each recording in `folder`, and in folders in it, as a capture of `spec` (`minecraft`, or its controls).

    `instruction` and `task` come from the header of a recording that was exported here, else from a folder's name that
    is one of BASALT's, or a recorder version that stands for a task; those that are given go before. The
    `recorder_version` comes from an index file, or else from the folders' names. What cannot be read is skipped and
    named in the report, or raises `CaptureError` with `strict`; `dropped` counts rows that are not imported, and ticks
    that lack a row. Parts of one session share their seed, so that they are in one split. Raises `CaptureError` where
    there is no recording or the game does not fit,
    `DiskFullError` where the disk is full.
    """
    version = parse_version(recorder_version) if recorder_version else ""
    given = {"instruction": instruction, "task": task}
    given = {name: value for name, value in given.items() if value}
    items = recordings(folder)
    if not items:
        raise CaptureError(f"{folder} has no NAME.mp4 with a NAME.jsonl of the same name beside it")
    importer = _Importer(
        ImportJob(out, strict=strict, disk_needed=disk_needed), spec, _camera(folder, spec)
    )
    for done, recording in enumerate(items, start=1):
        with importer.job.reading(recording.name):
            importer.add(recording, given, version)
        if progress:
            progress(done, len(items))
    return importer.job.report()


def _camera(folder: Path, spec: GameSpec) -> Camera:
    """The game's camera; raises `CaptureError` where it lacks the controls of Minecraft."""
    camera = spec.by_name.get("camera")
    if not {*KEYS.values(), *BUTTONS} <= set(spec.by_name) or not isinstance(camera, Camera):
        raise CaptureError(f"{folder} holds play of minecraft, which {spec.id} lacks controls for")
    return camera


class _Importer:
    """Import of one recording after the other."""

    def __init__(self, job: ImportJob, spec: GameSpec, camera: Camera) -> None:
        self.job, self._spec, self._camera = job, spec, camera

    def add(self, recording: Recording, given: Mapping[str, str], version: str) -> None:
        """Import a recording, or raise `CaptureError` with what it lacks; its rows are counted either way.

        Fields of the header that are `given`, and a `version` that is not empty, go before what the files say.
        """
        recording.check()
        header = read_header(recording.lines)
        if header:
            recording = replace(recording, version="", is_exported=True)
        recording = replace(recording, version=version or recording.version)
        info = header.info if header else self._info(recording)
        info = info.model_copy(update=dict(given))
        source = self._source(recording, info)
        if self.job.holds(source):
            return
        read = scan(recording.lines)
        steps = 0
        try:
            self._name_unreadable(recording, read)
            steps = self._write(recording, info, source, read)
        finally:
            self.job.drop(read.clocks.count - steps)

    def _info(self, recording: Recording) -> CaptureInfo:
        """The header of a recording that has none of ours."""
        task = recording.task or version_task(recording.version) or Task(self._spec.name, "")
        return CaptureInfo(
            instruction=task.instruction,
            task=task.name,
            seed=zlib.crc32(recording.session.encode()),
            author=recording.name,
        )

    def _source(self, recording: Recording, info: CaptureInfo) -> ImportSource:
        options = f"game {self._spec.id}, task {info.task}, instruction {info.instruction!r}, "
        return ImportSource(
            name=recording.name,
            sha256=content_hash(file_hash(recording.lines), file_hash(recording.video)),
            options=options + f"recorder version {recording.version or 'not known'}",
        )

    def _name_unreadable(self, recording: Recording, read: RowScan) -> None:
        for row in read.unreadable:
            self.job.skip(f"{recording.name}, line {row.line}", row.why)
        if further := read.unreadable_count - len(read.unreadable):
            self.job.skip(recording.name, f"{further} further lines cannot be read")
        if not len(read.clocks.lines):
            raise CaptureError("it has no line that can be read")

    def _write(
        self, recording: Recording, info: CaptureInfo, source: ImportSource, read: RowScan
    ) -> int:
        """Write the recording's certain rows as a capture; returns how many."""
        video = pictures(recording.video, is_sparse=recording.is_exported)
        alignment = align(read.clocks, video.times)
        for trouble in alignment.troubles:
            self.job.skip(f"{recording.name}, line {trouble.line}", trouble.why)
        with self.job.capture(self._spec, info, source) as capture:
            clipped = self._steps(capture, recording, alignment, video)
            if undecoded := int((alignment.pictures >= 0).sum()) - capture.steps:
                self.job.skip(recording.name, f"the pictures of {undecoded} rows cannot be decoded")
        self.job.clip(
            len(clipped),
            f"{recording.name}: {len(clipped)} of {capture.steps} movements of the mouse lie beyond the camera's "
            f"range (largest {max(clipped, default=0.0):.1f} degrees). They are clipped",
        )
        _log(recording, alignment, video, read)
        return capture.steps

    def _steps(
        self, capture: CaptureWriter, recording: Recording, alignment: Alignment, video: Pictures
    ) -> list[float]:
        """Write the certain rows; returns the degrees of each clipped movement."""
        actions, frames = (
            ActionReader(self._camera, recording.version),
            _Frames(video, self._spec, draws_pointer=not recording.is_exported),
        )
        states = _States(capture)
        clipped: list[float] = []
        before, rows_left, absent = -1, 0, 0
        ticks_left: set[int] = set()
        placed = zip(alignment.pictures.tolist(), alignment.ticks.tolist(), strict=True)
        for row in rows(recording.lines):
            if row.tick is None:
                ticks_left.add(-1 - len(ticks_left))  # of a tick that is not known
                continue
            index, number = next(placed)
            frame = frames.at(index, row.tick) if index >= 0 else None
            if frame is None:
                actions.skip(row.tick)
                rows_left += 1
                ticks_left.add(number)
                continue
            missing = max(number - before - 1, 0)
            inside = sum(left < 0 or before < left < number for left in ticks_left)
            absent += max(missing - inside, 0)
            capture.count_dropped(missing)
            done = actions.read(row.tick, follows=not missing and capture.steps > 0)
            states.note(row.tick)
            capture.step(frame, done.action)
            if done.clipped_degrees:
                clipped.append(done.clipped_degrees)
            before, rows_left = number, 0
            ticks_left.clear()
        capture.count_dropped(rows_left)
        self._name_absent(recording, absent)
        return clipped

    def _name_absent(self, recording: Recording, ticks: int) -> None:
        if ticks:
            logger.warning("%s: %d ticks lack a row, and are gaps", recording.name, ticks)
            self.job.drop(ticks)


class _States:
    """Events of a capture that keep menu and slot, of which actions do not tell: one whenever they change."""

    def __init__(self, capture: CaptureWriter) -> None:
        self._capture = capture
        self._before: tuple[bool, int | None] = (False, None)

    def note(self, tick: Tick) -> None:
        """Keep the state of the step to come."""
        now = (tick.menu, tick.hotbar)
        if now == self._before:
            return
        state: State = {MENU: tick.menu}
        if tick.hotbar is not None:
            state[SLOT] = tick.hotbar
        if tick.menu and tick.mouse.x is not None and tick.mouse.y is not None:
            state[POINTER] = [tick.mouse.x, tick.mouse.y]
        self._capture.event(STATE, **{STATE: state})
        self._before = now


class _Frames:
    """Frames of the game's size by picture, each index at least as high as the last."""

    def __init__(self, video: Pictures, spec: GameSpec, *, draws_pointer: bool) -> None:
        self._draws_pointer = draws_pointer
        self._decoded = video.decoded()
        self._size = spec.frame
        self._index, self._picture = -1, None
        self._frame: Frame | None = None

    def at(self, index: int, tick: Tick) -> Frame | None:
        """The frame of a picture, with the pointer where a menu is open; None where it cannot be decoded."""
        while self._index < index:
            self._index, self._picture = next(self._decoded, (sys.maxsize, None))
            self._frame = None
        if self._index != index:
            return None
        if self._frame is None:
            self._frame = resize_frame(rgb(self._picture), self._size.height, self._size.width)
        return self._with_pointer(self._frame, tick.mouse) if tick.menu else self._frame

    def _with_pointer(self, frame: Frame, mouse: Mouse) -> Frame:
        if mouse.x is None or mouse.y is None or not self._draws_pointer:
            return frame
        x, y = mouse.x * self._size.width / WINDOW[1], mouse.y * self._size.height / WINDOW[0]
        return with_cursor(frame, x, y)


def _log(recording: Recording, alignment: Alignment, video: Pictures, read: RowScan) -> None:
    """Log how rows were placed, and what the video has more or less than they."""
    name, end_s = recording.name, video.times.end_s
    version = recording.version or "not known (menus taken as version 6.10 and later)"
    logger.info("%s: rows placed by %s; recorder version %s", name, alignment.clock, version)
    placed = np.flatnonzero(alignment.pictures >= 0)
    last = int(alignment.pictures[placed[-1]])
    if further := len(video.pts) - 1 - last:
        logger.info("%s: %d pictures after the last imported row", name, further)
    if left := len(read.clocks.lines) - len(placed):
        logger.warning(
            "%s: %d of %d rows have no picture that is certain to be theirs in a video of %.2f s",
            name, left, len(read.clocks.lines), end_s,
        )  # fmt: skip

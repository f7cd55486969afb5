"""Download of the recordings of an index, both files of each, that goes on where it was stopped.

First a plan: the servers are asked for sizes, in the order of the index, until the limit is reached. What the folder
holds already counts, so that the same command comes to the same recordings. Then one file after the other. The files
of a recording get their names only once both are complete, the rows last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

from recorder.capture.disk_guard import require_room
from recorder.capture.writer import DISK_PAUSE
from recorder.format.manifest import CaptureError, Skipped
from recorder.formats.vpt.index import (
    LINES,
    MAX_INDEX_BYTES,
    VIDEO,
    IndexedRecording,
    RecordingIndex,
    check_url,
    parse_index,
)
from recorder.formats.web_file import GivenUpError, WebClient, WebError, WebFile, finish, held_bytes

logger = logging.getLogger("iafm.download")

_LOCK = ".download.lock"
MAX_GIVEN_UP = 3
"""Recordings given up one after the other, before the download is."""

Progress = Callable[[float, float, str], object]
"""Bytes so far, bytes in all, and the name of what is received."""


@dataclass(frozen=True)
class PlannedRecording:
    """A recording that is to be received: its two files, the rows first, and their places without suffix."""

    name: str
    files: tuple[tuple[WebFile, Path], ...]

    @property
    def size(self) -> int:
        return sum(file.size for file, _ in self.files)


@dataclass(frozen=True)
class DownloadPlan:
    """What a download will do."""

    out: Path
    recordings: tuple[PlannedRecording, ...]
    held: int
    """Recordings that are there already."""
    left_out: int
    """Recordings beyond the limit."""
    skipped: tuple[Skipped, ...]

    @property
    def size(self) -> int:
        """Bytes of the recordings that are to be received, with what is there of them."""
        return sum(recording.size for recording in self.recordings)

    @property
    def missing(self) -> int:
        """Bytes of them that are not there yet."""
        files = (each for recording in self.recordings for each in recording.files)
        return sum(file.size - min(held_bytes(path), file.size) for file, path in files)


@dataclass(frozen=True)
class DownloadReport:
    """Result of a download."""

    added: int
    """New recordings."""
    skipped: tuple[Skipped, ...] = ()


class _Failures:
    """Recordings that are left out, and how many of the last were given up."""

    def __init__(self, skipped: list[Skipped]) -> None:
        self.skipped = skipped
        self._given_up = 0

    @contextmanager
    def passed_over(self, name: str) -> Iterator[None]:
        """Name a recording that cannot be had; raises `CaptureError` where too many in a row were given up."""
        try:
            yield
            self._given_up = 0
        except WebError as error:
            logger.warning("skipped %s: %s", name, error)
            self.skipped.append(Skipped(name, str(error)))
            self._given_up = self._given_up + 1 if isinstance(error, GivenUpError) else 0
            if self._given_up >= MAX_GIVEN_UP:
                raise CaptureError(f"{error}; the same command goes on later") from None


def read_index(place: str, client: WebClient | None = None) -> RecordingIndex:
    """The index at an address or in a file; raises `CaptureError` where there is none."""
    if "://" in place:
        check_url(place)
        content = (client or WebClient()).read(place, MAX_INDEX_BYTES)
        return parse_index(content, place.rpartition("/")[2] or place)
    try:
        with Path(place).open("rb") as file:
            return parse_index(file.read(MAX_INDEX_BYTES + 1), Path(place).name)
    except OSError as error:
        raise CaptureError(f"{place} cannot be read: {error.strerror}") from None


def plan_download(
    index: RecordingIndex,
    out: Path,
    limit: float,
    client: WebClient | None = None,
    progress: Callable[[float, float], object] | None = None,
) -> DownloadPlan:
    """The first recordings of an index that take `limit` bytes together; `progress(bytes, limit)` as they are found.

    Nothing is written. A recording of which a file cannot be had is skipped. Raises `CaptureError` where the server
    cannot be reached.
    """
    client, failures = client or WebClient(), _Failures(list(index.skipped))
    planned: list[PlannedRecording] = []
    held = left_out = 0
    size = 0
    for done, recording in enumerate(index.recordings):
        targets = _targets(out, recording)
        if all(path.is_file() for path in targets.values()):
            size += sum(path.stat().st_size for path in targets.values())
            held += 1
            continue
        with failures.passed_over(recording.local):
            files = [
                (client.probe(index.url(recording, end)), path) for end, path in targets.items()
            ]
            new = PlannedRecording(recording.local, tuple(files))
            if size + new.size > limit:
                left_out = len(index.recordings) - done
                break
            size += new.size
            planned.append(new)
        if progress:
            progress(float(size), limit)
    return DownloadPlan(out, tuple(planned), held, left_out, tuple(failures.skipped))


def run_download(
    plan: DownloadPlan, client: WebClient | None = None, progress: Progress | None = None
) -> DownloadReport:
    """Receive what is planned. A recording that cannot be had is skipped and named.

    Raises `DiskFullError` where there is no room, before anything is received, or later; `CaptureError` where several
    recordings one after the other cannot be had. What was received stays, also at Ctrl-C.
    """
    client, failures = client or WebClient(), _Failures(list(plan.skipped))
    plan.out.mkdir(parents=True, exist_ok=True)
    require_room(plan.out, plan.missing + DISK_PAUSE)
    before = added = 0
    with _locked(plan.out):
        for recording in plan.recordings:
            with failures.passed_over(recording.name):
                _receive(recording, client, _shifted(progress, before, plan.size, recording.name))
                added += 1
            before += recording.size
    return DownloadReport(added, tuple(failures.skipped))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder, so that no two processes write one part; the lock ends with the process, however that ends."""
    with (folder / _LOCK).open("ab") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CaptureError(f"another process downloads to {folder}: wait for it") from None
        yield


def _receive(
    recording: PlannedRecording, client: WebClient, on_held: Callable[[int], object]
) -> None:
    done, received = 0, []
    for file, target in recording.files:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.stat().st_size != file.size:  # a kill may leave one
            client.fetch(file, target, partial(_added, on_held, done))
            received.append(target)
        done += file.size
    for target in reversed(received):
        finish(target)


def _targets(out: Path, recording: IndexedRecording) -> dict[str, Path]:
    """The places of a recording's files by suffix, the rows first: they are small, and tell whether it is there."""
    place = out / recording.local
    return {suffix: place.with_name(place.name + suffix) for suffix in (LINES, VIDEO)}


def _shifted(
    progress: Progress | None, before: int, total: int, name: str
) -> Callable[[int], object]:
    return lambda held: progress(float(before + held), float(total), name) if progress else None


def _added(on_held: Callable[[int], object], before: int, held: int) -> None:
    on_held(before + held)

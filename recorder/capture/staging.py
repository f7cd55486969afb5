"""Staging of captures that can be made again: written beside the others, moved among them once complete.

What a person played cannot be repeated, so an interrupted capture of it is kept. An import can be repeated and so can
a scripted expert's episode: what an interrupted one wrote is deleted, or the repeated one would write it a second
time. Each writing process has a folder of its own in `.importing`, named by its number and start, so that the folders
of dead ones are known.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from games import GameSpec
from recorder.capture.writer import CaptureWriter
from recorder.format.manifest import CaptureInfo
from recorder.format.process import is_abandoned, process_name

STAGING = ".importing"
"""Folder beside the captures, which readers of captures ignore."""

CREATE_TRIES = 20


@contextmanager
def staged(
    out: Path, spec: GameSpec, info: CaptureInfo, *, disk_needed: int
) -> Iterator[CaptureWriter]:
    """A capture that is closed and moved to `out` at the block's end, and deleted where the block raises.

    Raises `DiskFullError` where the disk is full or nearly: no step is dropped.
    """
    folder = out / STAGING / process_name()
    try:
        capture = _created(folder, spec, info, disk_needed)
        try:
            yield capture
            capture.close()
            capture.folder.rename(out / capture.folder.name)
        except BaseException:
            capture.discard()
            raise
    finally:
        _remove_empty(folder)


def _created(folder: Path, spec: GameSpec, info: CaptureInfo, disk_needed: int) -> CaptureWriter:
    options: dict[str, Any] = {"disk_needed": disk_needed, "stop_when_full": True}
    for _ in range(CREATE_TRIES):
        with suppress(FileNotFoundError):  # another process has just removed the empty folder
            return CaptureWriter.create(folder, spec, info, **options)
    return CaptureWriter.create(folder, spec, info, **options)


def delete_abandoned(out: Path) -> None:
    """Delete what killed processes left in the staging folder."""
    for folder in (out / STAGING).glob("*"):
        if is_abandoned(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
            _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    """Remove a staging folder and the one that holds it, each where nothing is in it."""
    with suppress(OSError):
        folder.rmdir()
    with suppress(OSError):
        folder.parent.rmdir()

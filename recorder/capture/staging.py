"""Staging of imported captures: written beside the others, moved among them once complete.

A played game cannot be repeated, so an interrupted capture is kept. An import can be repeated, so what an interrupted
one wrote is deleted: the repeated one would write it a second time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from games import GameSpec
from recorder.capture.recover import is_being_written
from recorder.capture.writer import CaptureWriter
from recorder.format.manifest import MANIFEST, CaptureInfo, read_manifest

STAGING = ".importing"
"""Folder beside the captures, which readers of captures ignore."""


@contextmanager
def staged(
    out: Path, spec: GameSpec, info: CaptureInfo, *, disk_needed: int
) -> Iterator[CaptureWriter]:
    """A capture that is closed and moved to `out` at the block's end, and deleted where the block raises.

    Raises `CaptureError` where the disk is nearly full.
    """
    try:
        with CaptureWriter.create(out / STAGING, spec, info, disk_needed=disk_needed) as capture:
            try:
                yield capture
            except BaseException:
                capture.close(interrupted=True)
                shutil.rmtree(capture.folder)
                raise
        capture.folder.rename(out / capture.folder.name)
    finally:
        with suppress(OSError):  # another import may be writing there
            (out / STAGING).rmdir()


def delete_abandoned(out: Path) -> None:
    """Delete the staged captures of killed imports."""
    for path in (out / STAGING).glob(f"*/{MANIFEST}"):
        if not is_being_written(read_manifest(path.parent)):
            shutil.rmtree(path.parent)

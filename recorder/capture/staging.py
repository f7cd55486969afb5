"""How does an imported capture appear only when it is whole? It is written beside the others and moved at its end.

A captured game is gone, so an interrupted capture is worth keeping. An import can be made again: what an interrupted
one leaves behind would only stand there twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from games import GameSpec
from recorder.capture.recover import being_written
from recorder.capture.writer import CaptureWriter
from recorder.format.manifest import MANIFEST, CaptureInfo, read_manifest

STAGING = ".importing"
"""The folder beside the captures, which no reader of captures looks into."""


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


def clear(out: Path) -> None:
    """Delete what killed imports left behind."""
    for path in (out / STAGING).glob(f"*/{MANIFEST}"):
        if not being_written(read_manifest(path.parent)):
            shutil.rmtree(path.parent)

"""Replay files in a folder, known by the arrays in them: Bleeding Edge's files end in `.npz` too."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from recorder.format.manifest import CaptureError
from recorder.formats.bleeding_edge.archive import archive
from recorder.formats.bleeding_edge.importer import match_files

ARRAYS = {"header", "commands"}


def replay_files(path: Path) -> list[Path]:
    """The `.npz` files of a folder by name, or that one file; none where they are no replays.

    The first whose directory can be read decides; nothing else of it is read.
    """
    files = match_files(path)
    for file in files:
        with suppress(CaptureError), archive(file) as opened:
            return files if opened.names == ARRAYS else []
    return []

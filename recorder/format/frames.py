"""Frame rows: the lines of `frames.jsonl`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from recorder.format.manifest import FRAMES, CaptureError, OnError, iter_steps, raise_error


class FrameRow(NamedTuple):
    """One line, checked."""

    t_ns: int
    """Monotonic time of the frame."""
    dropped_before: int
    """Steps of the game that are missing before this one."""


def read_frame_rows(folder: Path, on_error: OnError = raise_error) -> Iterator[FrameRow]:
    """The lines of a capture, read as a stream.

    A line that is no row of a frame is passed to `on_error`, which raises it, and left out where that returns.
    """
    path = folder / FRAMES
    for number, row in iter_steps(path, on_error):
        t_ns: Any = row.get("t_ns")
        dropped: Any = row.get("dropped_before")
        if _is_count(t_ns) and _is_count(dropped):
            yield FrameRow(t_ns, dropped)
        else:
            on_error(CaptureError(f"{path}: line {number} has no t_ns or no dropped_before"))


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0

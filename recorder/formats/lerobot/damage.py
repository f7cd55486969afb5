"""Damage of a dataset's files: whatever a reader raises, as `CaptureError` in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pyarrow as pa

from recorder.format.manifest import CaptureError

_ERRORS = (
    OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, MemoryError,
    pa.ArrowException, cv2.error,
)  # fmt: skip
"""What pyarrow, json and OpenCV raise for a damaged file, and what follows from values of other types."""


@contextmanager
def damage_of(name: str | Path) -> Iterator[None]:
    """Around the reading of a file, and nothing else; raises `CaptureError` that begins with its name."""
    try:
        yield
    except CaptureError:
        raise
    except FileNotFoundError:
        raise CaptureError(f"{name} is missing") from None
    except _ERRORS as error:
        raise CaptureError(f"{name} cannot be read: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line[:200]}"

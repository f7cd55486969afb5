"""Append-only file: each record is in the file when `append` returns, or no part of it is.

What the operating system has survives `kill -9` of the process, not a loss of power.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from recorder.format.manifest import disk_errors


class AppendFile:
    """A file with one writer; one that is there is continued."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self.size = self._file.tell()
        """Bytes up to the end of the last record."""

    def append(self, record: bytes) -> None:
        """Write a record; raises `DiskFullError`, and `OSError` for other failures, with nothing of it written."""
        end = self.size
        try:
            with disk_errors(self.path.parent):
                rest = memoryview(record)
                while rest:
                    rest = rest[self._file.write(rest) :]
        except BaseException:
            self.cut(end)
            raise
        self.size = end + len(record)

    def append_line(self, row: dict[str, Any]) -> None:
        """Write an object as a line of JSON, as `append`."""
        self.append(json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n")

    def cut(self, size: int) -> None:
        """Shorten the file to its first `size` bytes."""
        self._file.truncate(size)
        self.size = size

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    def __enter__(self) -> AppendFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

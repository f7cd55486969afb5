"""Spool: the newest steps of a live game, in a file that outlives the game and the recording process.

The game's process puts each step into the next slot of a ring and then counts it; the recording process encodes it
later. A slot is used again only when its step is in the capture's own files. `recover` writes the steps that are left
when the recording process was killed.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from games import Frame
from recorder.format.manifest import CaptureError, disk_errors

SPOOL = "spool.bin"
SPOOL_BYTES = 64 << 20
"""Size of the ring: fewer steps than asked for where the frames are large."""
VALUES_ROOM = 64 << 10
"""Bytes of a slot for all but the frame; the file is sparse."""
STEP_KEYS = {
    "action", "executed", "agent_action", "by", "reward", "t_ns", "wall_ns", "observed", "dropped",
}  # fmt: skip
"""What a step is put with: `dropped` steps of the game are missing before it."""
_HEAD = struct.Struct("<QQ")
_COUNT = struct.Struct("<Q")
_LENGTH = struct.Struct("<I")
_SLOTS_AT = 4096


class Spool:
    """Ring of `slots` steps with frames of one shape. Steps are numbered by the capture, without the dropped ones."""

    def __init__(self, path: Path, shape: tuple[int, int, int], slots: int, counted: int) -> None:
        self.slots = slots
        self.counted = counted
        """Steps put so far, as last read."""
        self._path = path
        self._shape = shape
        self._frame_bytes = int(np.prod(shape))
        self._file = os.open(path, os.O_RDWR)

    @classmethod
    def create(cls, folder: Path, shape: tuple[int, int, int], slots: int) -> Spool:
        """An empty ring of at most `slots` steps; raises `DiskFullError`."""
        slots = max(2, min(slots, SPOOL_BYTES // int(np.prod(shape))))
        with disk_errors(folder):
            (folder / SPOOL).write_bytes(_HEAD.pack(slots, 0))
        return cls(folder / SPOOL, shape, slots, 0)

    @classmethod
    def open(cls, folder: Path, shape: tuple[int, int, int]) -> Spool:
        """The ring of a capture; raises `CaptureError` where it is damaged."""
        with (folder / SPOOL).open("rb") as file:
            head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise CaptureError(f"{folder / SPOOL} is damaged")
        slots, counted = _HEAD.unpack(head)
        if not 0 < slots <= SPOOL_BYTES:
            raise CaptureError(f"{folder / SPOOL} is damaged: {slots} slots")
        return cls(folder / SPOOL, shape, slots, counted)

    def put(self, frame: Frame, values: dict[str, Any]) -> None:
        """Add a step; it outlives this process once this returns. Raises `DiskFullError` and adds nothing."""
        text = json.dumps(values, separators=(",", ":"), allow_nan=False).encode()
        if _LENGTH.size + len(text) > VALUES_ROOM:
            raise CaptureError(f"a step's action has {len(text):,} bytes, {VALUES_ROOM:,} are read")
        at = self._slot(self.counted)
        with disk_errors(self._path.parent):
            _write_all(self._file, _LENGTH.pack(len(text)) + text, at)
            _write_all(self._file, np.ascontiguousarray(frame).data.cast("B"), at + VALUES_ROOM)
            self.counted += 1
            _write_all(self._file, _COUNT.pack(self.counted), _COUNT.size)

    def update(self) -> int:
        """Read how many steps were put so far."""
        (self.counted,) = _COUNT.unpack(os.pread(self._file, _COUNT.size, _COUNT.size))
        return self.counted

    def read(self, number: int) -> tuple[Frame, dict[str, Any]]:
        """Step `number`, one of the newest `slots`; raises `CaptureError` where it is damaged."""
        at = self._slot(number)
        head = os.pread(self._file, VALUES_ROOM, at)
        frame = os.pread(self._file, self._frame_bytes, at + VALUES_ROOM)
        try:
            (length,) = _LENGTH.unpack_from(head)
            values: dict[str, Any] = json.loads(head[_LENGTH.size : _LENGTH.size + length])
            if set(values) != STEP_KEYS:
                raise ValueError(f"it has {sorted(values)}")
            return np.frombuffer(frame, np.uint8).reshape(self._shape), values
        except (struct.error, ValueError, TypeError) as error:
            raise CaptureError(f"{self._path}: step {number} is damaged: {error}") from None

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _slot(self, number: int) -> int:
        return _SLOTS_AT + (number % self.slots) * (VALUES_ROOM + self._frame_bytes)


def _write_all(file: int, content: bytes | memoryview, at: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(file, rest, at)
        rest, at = rest[written:], at + written

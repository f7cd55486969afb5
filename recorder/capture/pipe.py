"""Messages of the pipe to the recording process: a JSON object and, for a step, the frame's bytes after it."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_SIZES = struct.Struct("<II")


def write_message(pipe: IO[bytes], message: dict[str, Any], blob: bytes = b"") -> None:
    """Send a message; raises `OSError` where the other side has closed."""
    text = json.dumps(message).encode()
    pipe.write(_SIZES.pack(len(text), len(blob)) + text)
    pipe.write(blob)
    pipe.flush()


def read_message(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next message and its bytes; None where the other side has closed (a message cut off by that is dropped)."""
    head = pipe.read(_SIZES.size)
    if len(head) < _SIZES.size:
        return None
    text_size, blob_size = _SIZES.unpack(head)
    text, blob = pipe.read(text_size), pipe.read(blob_size)
    if len(text) < text_size or len(blob) < blob_size:
        return None
    message: dict[str, Any] = json.loads(text)
    return message, blob

"""Images in a data file: PNG and JPEG files as cells of a column, decoded within a limit of size."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from games import Frame
from recorder.format.manifest import CaptureError
from recorder.format.video_index import MAX_SIDE

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_SIZELESS = {0xC4, 0xC8, 0xCC}
"""JPEG segments in the range of the frame headers that are none: tables and extensions."""


def image_bytes(cell: Any) -> bytes:
    """The file in a cell `{"bytes", "path"}`; raises `CaptureError` where it has none."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise CaptureError("a frame is missing")
    return content


def decoded_image(cell: Any) -> Frame:
    """The frame in a cell, (H, W, 3) uint8 RGB; raises `CaptureError` where it is no PNG or JPEG, or too large."""
    content = image_bytes(cell)
    try:
        height, width = _png_size(content) if content.startswith(_PNG) else _jpeg_size(content)
    except (struct.error, IndexError):
        raise CaptureError("a frame is no PNG or JPEG") from None
    if not 0 < max(height, width) <= MAX_SIDE:
        raise CaptureError(f"a frame of {height} x {width}, larger than {MAX_SIDE}")
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise CaptureError("a frame cannot be decoded")
    return np.ascontiguousarray(decoded[:, :, ::-1])


def _png_size(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", content, 16)
    return height, width


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Height and width from the frame header (ISO/IEC 10918-1, B.2.2), which follows other segments."""
    at = 2 if content.startswith(_JPEG) else len(content)
    while True:
        marker, kind, length = struct.unpack_from(">BBH", content, at)
        if marker != 0xFF:
            raise IndexError
        if 0xC0 <= kind <= 0xCF and kind not in _SIZELESS:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return height, width
        at += 2 + length

"""Image bytes: size and structure of a PNG or JPEG, read without decoding.

A decoder does more than its pixels ask for where a file says so: it inflates a PNG's texts (3 KB to 8 MB each), and
passes over a whole JPEG once per scan (12 bytes each). What is not needed for the pixels never reaches it.
"""

from __future__ import annotations

import re
import struct

MAX_SCANS = 20
"""Scans of a progressive JPEG; encoders write about ten, and a decoder passes over the whole picture for each."""
MAX_CHUNKS = 4096
"""Chunks of a PNG; encoders write one for every 8 KB or more."""
_MAX_SEGMENTS = 1024
"""JPEG segments before the picture's size; an ICC profile takes up to 255, a preview a few dozen."""
_MARKER = re.compile(rb"\xff++(.)(..)", re.DOTALL)
"""Fill bytes, a JPEG marker and the length of its segment."""


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in a PNG's header; None where it has none."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in a JPEG's first start-of-frame segment, which a decoder takes too; None where it has none.

    Start of frame are the markers C0 to CF without C4, C8 and CC. Pictures inside of other segments, such as a preview
    in APP1, are skipped with their segment. Markers without a segment have no place before it.
    """
    at = 2
    if data[:2] != b"\xff\xd8":
        return None
    for _ in range(_MAX_SEGMENTS):
        segment = _MARKER.match(data, at)
        if segment is None:
            return None
        marker, length = segment[1][0], int.from_bytes(segment[2], "big")
        at = segment.end() - 2
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if length < 7 or at + 7 > len(data):
                return None
            height, width = struct.unpack(">HH", data[at + 3 : at + 7])
            return width, height
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA or length < 2:
            return None
        at += length
    return None


def png_pixels(data: bytes) -> bytes | None:
    """A PNG without the chunks that its colors do not need; None where it is cut or has too many chunks."""
    chunks, at = [data[:8]], 8
    for _ in range(MAX_CHUNKS):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            return None
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            chunks.append(data[at:end])
        if kind == b"IEND":
            return b"".join(chunks)
        at = end
    return None


def jpeg_pixels(data: bytes) -> bytes | None:
    """A JPEG as it is; None where no end follows its last scan (it is cut), or where it has too many scans."""
    end, scan = b"\xff\xd9", b"\xff\xda"
    is_legal = data.rfind(end) > data.rfind(scan) and data.count(scan) <= MAX_SCANS
    return data if is_legal else None

"""Fragments of a growing MP4: one `moof` and `mdat` box per frame, written at once.

FFmpeg's own muxer holds each frame back until the next one comes, to know how long it lasts, and a full disk leaves it
with a torn file. Here a frame lasts one tick of the game's clock and is on disk when it is appended. Boxes: ISO/IEC
14496-12, sections 8.8.4 to 8.8.12.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

_START_CODE = re.compile(rb"\x00{2,3}\x01")
_KEY, _NO_KEY = 0x02000000, 0x01010000
"""Sample flags: depends on no other frame; depends on others and is no sync sample."""
_BASE_IS_MOOF = 0x020000
_OFFSET_DURATION_SIZE_FLAGS = 0x000701


def fragment(number: int, time: int, duration: int, is_key: bool, content: bytes) -> bytes:
    """The boxes of one frame; `time` and `duration` in ticks of the track, `content` as the encoder gives it."""
    sample = _length_prefixed(content)
    moof = _moof(number, time, duration, is_key, len(sample))
    return moof + _box(b"mdat", sample)


def _moof(number: int, time: int, duration: int, is_key: bool, size: int) -> bytes:
    def moof(data_offset: int) -> bytes:
        sample = struct.pack(">iIII", data_offset, duration, size, _KEY if is_key else _NO_KEY)
        run = struct.pack(">II", _OFFSET_DURATION_SIZE_FLAGS, 1) + sample
        track = (
            _box(b"tfhd", struct.pack(">II", _BASE_IS_MOOF, 1))
            + _box(b"tfdt", struct.pack(">IQ", 1 << 24, time))
            + _box(b"trun", run)
        )
        header = _box(b"mfhd", struct.pack(">II", 0, number + 1))
        return _box(b"moof", header + _box(b"traf", track))

    return moof(len(moof(0)) + 8)  # the frame lies behind the head of `mdat`


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _length_prefixed(content: bytes) -> bytes:
    """H.264 units behind start codes (Annex B) as MP4 has them: behind their lengths."""
    units = filter(None, _START_CODE.split(content))
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in units)


def fragment_ends(path: Path) -> list[int]:
    """The byte at which the header ends, then each whole fragment; empty for an MP4 that is no growing one."""
    ends: list[int] = []
    position, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length < 8 or position + length > size:
                break
            if kind == b"mdat" and not ends:
                return []
            if kind == b"moof" and not ends:
                ends.append(position)
            position += length
            if kind == b"mdat":
                ends.append(position)
    return ends or [position]

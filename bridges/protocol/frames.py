"""Binary frames: a fixed 32-byte header, optional JSON, and the picture's bytes.

    offset  size  field (little-endian)
    0       4     magic "IAFM"
    4       1     header version, 1
    5       1     codec: 0 raw RGB, 1 raw RGBA, 2 raw BGRA, 3 raw gray, 4 JPEG, 5 PNG
    6       2     reserved, 0
    8       2     width in pixels
    10      2     height in pixels
    12      4     observation number
    16      8     sender's clock in nanoseconds
    24      4     bytes of JSON that follow the header; skipped, since no field of it is defined yet
    28      4     bytes of picture that follow the JSON

Sizes are checked here and again in a JPEG's or PNG's own bytes before anything is decoded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np

from games import Frame

HEADER = struct.Struct("<4sBBHHHIQII")
MAGIC, VERSION = b"IAFM", 1
MAX_PIXELS = 2_000_000
MAX_META = 64 << 10


class Codec(IntEnum):
    """Format of the picture's bytes."""

    RGB = 0
    RGBA = 1
    BGRA = 2
    GRAY = 3
    JPEG = 4
    PNG = 5


_CHANNELS = {Codec.RGB: 3, Codec.RGBA: 4, Codec.BGRA: 4, Codec.GRAY: 1}


class FrameError(ValueError):
    """A binary message is not acceptable; `code` is the close code of the protocol."""

    def __init__(self, message: str, code: int = 4415) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class EncodedFrame:
    """A checked but not yet decoded picture."""

    codec: Codec
    width: int
    height: int
    number: int
    t_ns: int
    payload: bytes

    def decode(self) -> Frame:
        """RGB (height, width, 3) uint8; raises `FrameError` where the bytes are damaged."""
        if self.codec in _CHANNELS:
            flat = np.frombuffer(self.payload, np.uint8)
            raw = flat.reshape(self.height, self.width, _CHANNELS[self.codec])
            match self.codec:
                case Codec.RGB:
                    return raw
                case Codec.RGBA:
                    return np.ascontiguousarray(raw[..., :3])
                case Codec.BGRA:
                    return np.ascontiguousarray(raw[..., 2::-1])
            return np.repeat(raw, 3, axis=2)
        decoded = cv2.imdecode(np.frombuffer(self.payload, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None or decoded.shape[:2] != (self.height, self.width):
            raise FrameError(f"{self.codec.name} bytes do not decode to {self.width}x{self.height}")
        return np.ascontiguousarray(decoded[..., ::-1])


def pack(frame: Frame, number: int, t_ns: int, codec: Codec = Codec.RGB) -> bytes:
    """An RGB frame as a binary message; JPEG is written at quality 85."""
    height, width = frame.shape[:2]
    match codec:
        case Codec.RGB:
            payload = np.ascontiguousarray(frame).tobytes()
        case Codec.JPEG:
            quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
            payload = cv2.imencode(".jpg", frame[..., ::-1], quality)[1].tobytes()
        case Codec.PNG:
            payload = cv2.imencode(".png", frame[..., ::-1])[1].tobytes()
        case _:
            raise FrameError(f"frames are sent as RGB, JPEG or PNG, not {codec.name}")
    header = HEADER.pack(
        MAGIC, VERSION, codec, 0, width, height, number & 0xFFFFFFFF, t_ns, 0, len(payload)
    )
    return header + payload


def unpack(data: bytes) -> EncodedFrame:
    """Check a binary message without decoding it; raises `FrameError`."""
    if len(data) < HEADER.size:
        raise FrameError(
            f"a binary message has at least {HEADER.size} bytes, got {len(data)}", 4400
        )
    magic, version, codec, _, width, height, number, t_ns, meta_size, size = HEADER.unpack_from(
        data
    )
    if magic != MAGIC or version != VERSION:
        raise FrameError("a binary message starts with the IAFM header, version 1", 4400)
    if codec not in Codec.__members__.values():
        raise FrameError(f"no codec {codec}; known are {', '.join(c.name for c in Codec)}")
    if not 0 < width * height <= MAX_PIXELS:
        raise FrameError(f"a picture has 1 to {MAX_PIXELS} pixels, got {width}x{height}", 4413)
    if meta_size > MAX_META or HEADER.size + meta_size + size != len(data):
        raise FrameError("the header's sizes do not add up to the message", 4400)
    codec = Codec(codec)
    payload = data[HEADER.size + meta_size :]
    if codec in _CHANNELS:
        if size != width * height * _CHANNELS[codec]:
            raise FrameError(
                f"{codec.name} of {width}x{height} has another size than {size} bytes", 4400
            )
    elif _inner_size(codec, payload) != (width, height):
        raise FrameError(f"the {codec.name} inside is not {width}x{height}", 4413)
    return EncodedFrame(codec, width, height, number, t_ns, payload)


def _inner_size(codec: Codec, data: bytes) -> tuple[int, int] | None:
    """Width and height in a PNG's or JPEG's own header; None where it has none."""
    return _png_size(data) if codec is Codec.PNG else _jpeg_size(data)


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From the first start-of-frame segment (markers C0 to CF without C4, C8 and CC)."""
    at = 2
    if data[:2] != b"\xff\xd8":
        return None
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None

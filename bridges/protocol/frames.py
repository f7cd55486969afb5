"""Binary frames: a fixed 32-byte header, optional JSON, and the picture's bytes.

    offset  size  field (little-endian)
    0       4     magic "IAFM"
    4       1     header version, 1
    5       1     codec: 0 raw RGB, 1 raw RGBA, 2 raw BGRA, 3 raw gray, 4 JPEG, 5 PNG, 6 raw BGR;
                  + 128 where the rows begin at the bottom
    6       1     camera number, from 0
    7       1     agent number, from 0
    8       2     width in pixels
    10      2     height in pixels
    12      4     observation number
    16      8     sender's clock in nanoseconds
    24      4     bytes of JSON that follow the header: a `StepReport`, or none
    28      4     bytes of picture that follow the JSON

Sizes are checked here and again in a JPEG's or PNG's own bytes before anything is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

import cv2
import numpy as np

from bridges.protocol.image_bytes import jpeg_pixels, jpeg_size, png_pixels, png_size
from bridges.protocol.step_report import NO_REPORT, StepReport
from games import Frame, FrameSize
from games.spec import MAX_SIDE

HEADER = struct.Struct("<4sBBHHHIQII")
MAGIC, VERSION = b"IAFM", 1
MAX_PIXELS = 1920 * 1080
MAX_META = 64 << 10
BOTTOM_UP = 0x80
"""Bit of the codec byte: the picture's first row is the lowest, as OpenGL and Unity read it."""


class Codec(IntEnum):
    """Format of the picture's bytes."""

    RGB = 0
    RGBA = 1
    BGRA = 2
    GRAY = 3
    JPEG = 4
    PNG = 5
    BGR = 6


_IMREAD_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_CODECS = frozenset(int(codec) for codec in Codec)
_CONVERSIONS = {
    Codec.RGBA: cv2.COLOR_RGBA2RGB,
    Codec.BGRA: cv2.COLOR_BGRA2RGB,
    Codec.GRAY: cv2.COLOR_GRAY2RGB,
    Codec.BGR: cv2.COLOR_BGR2RGB,
}
_CHANNELS = {Codec.RGB: 3, Codec.RGBA: 4, Codec.BGRA: 4, Codec.GRAY: 1, Codec.BGR: 3}


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
    bottom_up: bool = False
    meta: bytes = b""
    """The JSON between header and picture, as it came."""
    report: StepReport = NO_REPORT
    """What of that JSON is right; the receiver sets it."""
    agent: int = 0
    """Whose picture it is, where one connection plays several."""
    camera: int = 0
    cameras: Mapping[int, EncodedFrame] = field(default_factory=dict)
    """With camera 0's picture, those of the observation's other cameras, by their numbers."""

    @property
    def is_plain(self) -> bool:
        """Whether the bytes are the pixels, so that decoding them takes no time."""
        is_plain = self.codec is Codec.RGB and not self.bottom_up
        return is_plain and all(other.is_plain for other in self.cameras.values())

    @property
    def size(self) -> int:
        """Bytes of all its pictures."""
        return len(self.payload) + sum(other.size for other in self.cameras.values())

    @property
    def pixels(self) -> int:
        """Pixels of all its pictures."""
        own = self.width * self.height
        return own + sum(other.pixels for other in self.cameras.values())

    def decode(self) -> Frame:
        """RGB (height, width, 3) uint8, its first row the upper; raises `FrameError` where the bytes are damaged."""
        pixels = self._stored_pixels()
        return np.asarray(cv2.flip(pixels, 0), np.uint8) if self.bottom_up else pixels

    def decode_cameras(self) -> dict[int, Frame]:
        """The pictures of the other cameras, as `decode`."""
        return {number: other.decode() for number, other in self.cameras.items()}

    def without_cameras(self) -> EncodedFrame:
        """Camera 0's picture alone."""
        return replace(self, cameras={}) if self.cameras else self

    def _stored_pixels(self) -> Frame:
        """RGB in the order of the picture's rows."""
        if self.codec in _CHANNELS:
            flat = np.frombuffer(self.payload, np.uint8)
            raw = flat.reshape(self.height, self.width, _CHANNELS[self.codec])
            conversion = _CONVERSIONS.get(self.codec)
            return raw if conversion is None else _converted(raw, conversion)
        return self._decompressed()

    def _decompressed(self) -> Frame:
        """The pixels as a JPEG or PNG stores them: 8 bits, alpha dropped, a camera's orientation not applied."""
        name = self.codec.name
        pixels = (png_pixels if self.codec is Codec.PNG else jpeg_pixels)(self.payload)
        if pixels is None:
            raise FrameError(f"the {name} has no end, or too many parts")
        try:
            decoded = cv2.imdecode(np.frombuffer(pixels, np.uint8), _IMREAD_AS_STORED)
        except cv2.error:
            decoded = None
        if decoded is None or decoded.shape[:2] != (self.height, self.width):
            raise FrameError(f"{name} bytes do not decode to {self.width}x{self.height}")
        return _converted(np.asarray(decoded, np.uint8), cv2.COLOR_BGR2RGB)


def _converted(pixels: Frame, conversion: int) -> Frame:
    """Other channels; unlike numpy, OpenCV leaves Python's other threads running meanwhile."""
    return np.asarray(cv2.cvtColor(pixels, conversion), np.uint8)


def pack(
    frame: Frame,
    number: int,
    t_ns: int,
    codec: Codec = Codec.RGB,
    *,
    bottom_up: bool = False,
    meta: bytes = b"",
    agent: int = 0,
    camera: int = 0,
) -> bytes:
    """An RGB frame as a binary message, with `meta` as its JSON; JPEG is written at quality 85.

    `bottom_up` says that the frame's first row is the lowest. Raises `FrameError` where the frame or `meta` is too
    large.
    """
    if len(meta) > MAX_META:
        raise FrameError(f"the JSON of a picture has at most {MAX_META} bytes, got {len(meta)}")
    height, width = frame.shape[:2]
    _check_size(width, height)
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
        MAGIC,
        VERSION,
        codec | bottom_up * BOTTOM_UP,
        agent << 8 | camera,
        width,
        height,
        number & 0xFFFFFFFF,
        t_ns,
        len(meta),
        len(payload),
    )
    return header + meta + payload


def number_of(data: bytes) -> int | None:
    """The observation number of a binary message that may be damaged, where it has a header."""
    return int.from_bytes(data[12:16], "little") if len(data) >= HEADER.size else None


def with_number(data: bytes, number: int) -> bytes:
    """A binary message with another observation number."""
    return data[:12] + number.to_bytes(4, "little") + data[16:]


def payload_of(data: bytes) -> bytes:
    """The picture in a binary message that `pack` made."""
    return data[HEADER.size + HEADER.unpack_from(data)[8] :]


def unpack(data: bytes) -> EncodedFrame:
    """Check a binary message without decoding it; raises `FrameError`."""
    if len(data) < HEADER.size:
        raise FrameError(
            f"a binary message has at least {HEADER.size} bytes, got {len(data)}", 4400
        )
    magic, version, flags, numbers, width, height, number, t_ns, meta_size, size = (
        HEADER.unpack_from(data)
    )
    if magic != MAGIC or version != VERSION:
        raise FrameError("a binary message starts with the IAFM header, version 1", 4400)
    agent, camera = divmod(numbers, 256)
    if (number_of_codec := flags & ~BOTTOM_UP) not in _CODECS:
        known = ", ".join(f"{codec.value} {codec.name}" for codec in Codec)
        raise FrameError(f"no codec {number_of_codec}; known are {known}")
    _check_size(width, height)
    if meta_size > MAX_META or HEADER.size + meta_size + size != len(data):
        raise FrameError("the header's sizes do not add up to the message", 4400)
    meta, payload = data[HEADER.size : HEADER.size + meta_size], data[HEADER.size + meta_size :]
    codec = Codec(number_of_codec)
    if codec in _CHANNELS:
        if size != width * height * _CHANNELS[codec]:
            raise FrameError(
                f"{codec.name} of {width}x{height} has another size than {size} bytes", 4400
            )
    else:
        _check_inner_size(codec, payload, (width, height))
    bottom_up = bool(flags & BOTTOM_UP)
    return EncodedFrame(
        codec, width, height, number, t_ns, payload, bottom_up, meta, agent=agent, camera=camera
    )


def _check_size(width: int, height: int) -> None:
    """Raises `FrameError` for a picture without pixels, or with too many in all or in a row or column."""
    if not 0 < width * height <= MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise FrameError(
            f"a picture has 1 to {MAX_PIXELS:,} pixels and sides up to {MAX_SIDE}, "
            f"got {width}x{height}: send it smaller",
            4413,
        )


def _check_inner_size(codec: Codec, payload: bytes, size: tuple[int, int]) -> None:
    """Raises `FrameError` where a JPEG's or PNG's own bytes have another size than the header."""
    inner = png_size(payload) if codec is Codec.PNG else jpeg_size(payload)
    if inner is None:
        raise FrameError(f"the bytes are no {codec.name}", 4413)
    if inner != size:
        width, height = inner
        raise FrameError(
            f"the header says {size[0]}x{size[1]}, the {codec.name} inside {width}x{height}", 4413
        )


def fits(size: FrameSize) -> bool:
    """Whether pictures of a spec's size may be sent."""
    return not size_warnings(size)


def size_warnings(size: FrameSize) -> tuple[str, ...]:
    """A line where pictures of a spec's size are refused."""
    try:
        _check_size(size.width, size.height)
    except FrameError as error:
        return (f"frame: {error}; a player stretches every picture to its own size",)
    return ()

"""Hostile pictures: legal and damaged binary messages that cost a server as much as they can."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from random import Random

import cv2
import numpy as np

from bridges.protocol import frames
from bridges.protocol.frames import HEADER, MAGIC, Codec
from bridges.protocol.image_bytes import MAX_SCANS

FULL_HD = (1080, 1920)
"""Height and width of the largest legal picture."""


def message(codec: int, size: tuple[int, int], payload: bytes, meta: bytes = b"") -> bytes:
    """A binary message of any content; `size` is (height, width)."""
    height, width = size
    head = HEADER.pack(MAGIC, 1, codec, 0, width, height, 0, 0, len(meta), len(payload))
    return head + meta + payload


@cache
def small() -> bytes:
    """A small legal JPEG."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    return frames.pack(pixels, 0, 0, Codec.JPEG)


@cache
def small_png() -> bytes:
    """A small legal PNG."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    return frames.pack(pixels, 0, 0, Codec.PNG)


def damaged(rng: Random) -> bytes:
    """A JPEG whose scan is cut: its sizes are right, its pixels do not decode."""
    data = small()[HEADER.size :]
    return message(Codec.JPEG, (48, 64), data[: rng.randrange(300, 600)])


def mutated(data: bytes, rng: Random, first: int = 0) -> bytes:
    """A message with a few bytes changed, cut or doubled, from byte `first` on."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 8)):
        changed[rng.randrange(first, len(changed))] = rng.randrange(256)
    if rng.random() < 0.1:
        return bytes(changed[: rng.randrange(first, len(changed))])
    if rng.random() < 0.1:
        at = rng.randrange(first, len(changed))
        changed[at:at] = changed[at : at + 64]
    return bytes(changed)


def random_message(rng: Random) -> bytes:
    """Random bytes, half of them behind a plausible header."""
    payload = rng.randbytes(rng.randrange(400))
    if rng.random() < 0.5:
        return payload
    size = (rng.randrange(1, 64), rng.randrange(1, 64))
    return message(rng.randrange(8) | rng.choice((0, 128)), size, payload)


@cache
def png_of_noise() -> bytes:
    """A PNG of as many pixels as fit into a message, which is slow to decode."""
    pixels = np.random.default_rng(0).integers(0, 3, (*FULL_HD, 3), np.uint8)
    return frames.pack(pixels, 0, 0, Codec.PNG)


@cache
def png_bomb() -> bytes:
    """A PNG of 20 KB with the most pixels, and texts that inflate to 50 MB each."""
    height, width = FULL_HD
    text = b"zTXt" + b"bomb\0\0" + zlib.compress(bytes(50 << 20), 9)
    rows = b"IDAT" + zlib.compress(bytes((3 * width + 1) * height), 9)
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [header, text, text, rows, b"IEND"]
    return message(Codec.PNG, FULL_HD, b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks)))


def _chunk(data: bytes) -> bytes:
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


@cache
def png_with_a_lie() -> bytes:
    """A PNG that says 60000 x 60000 in its own header, and 64 x 48 in ours."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = b"IDAT" + zlib.compress(bytes(1 << 20), 9)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, (header, rows, b"IEND")))
    return message(Codec.PNG, (48, 64), data)


@cache
def jpeg_bomb(scans: int = MAX_SCANS) -> bytes:
    """A progressive JPEG of the most pixels, whose last scan comes again and again: each passes over all of it."""
    gray = np.full((*FULL_HD, 3), 128, np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 1]
    data = cv2.imencode(".jpg", gray, options)[1].tobytes()
    before, marker, last = data[:-2].rpartition(b"\xff\xda")
    scan = marker + last
    return message(Codec.JPEG, FULL_HD, before + scan * (scans - before.count(marker)) + data[-2:])


@cache
def raw_bgra() -> bytes:
    """A raw picture as large as a message may be, upside down and with its colors to be turned round."""
    return message(Codec.BGRA | frames.BOTTOM_UP, (1000, 1040), bytes(1000 * 1040 * 4))


def too_large(rng: Random) -> bytes:
    """A picture with more pixels or longer sides than the protocol allows."""
    size = rng.choice(
        [(1081, 1920), (1, 65_535), (65_535, 1), (0, 64), (4097, 1), (65_535, 65_535)]
    )
    return message(Codec.JPEG, size, small()[HEADER.size :])

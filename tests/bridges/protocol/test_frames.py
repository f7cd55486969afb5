"""Pictures: every legal one becomes the pixels that were sent, every other one costs nothing."""

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest

from bridges.protocol import frames
from bridges.protocol.frames import MAX_PIXELS, Codec, FrameError, pack, size_warnings, unpack
from bridges.protocol.image_bytes import MAX_CHUNKS, MAX_SCANS, jpeg_size
from games import Frame, FrameSize
from games.spec import MAX_SIDE

GRADIENT = np.stack(np.meshgrid(np.arange(0, 240, 8), np.arange(0, 160, 8)) * 2, -1)
FRAME = np.ascontiguousarray(GRADIENT[..., :3]).astype(np.uint8)  # 20 rows, 30 columns
JPEG = cv2.imencode(".jpg", FRAME[..., ::-1])[1].tobytes()
PNG = cv2.imencode(".png", FRAME[..., ::-1])[1].tobytes()


def message(codec: int, payload: bytes, size: tuple[int, int] = (30, 20)) -> bytes:
    """A binary message with a picture of a size (width, height)."""
    return frames.HEADER.pack(b"IAFM", 1, codec, 0, *size, 1, 0, 0, len(payload)) + payload


def decode(codec: int, payload: bytes, size: tuple[int, int] = (30, 20)) -> Frame:
    return unpack(message(codec, payload, size)).decode()


def refusal(codec: int, payload: bytes, size: tuple[int, int] = (30, 20)) -> FrameError:
    with pytest.raises(FrameError) as caught:
        decode(codec, payload, size)
    return caught.value


def segment(marker: int, data: bytes) -> bytes:
    """A JPEG segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


EXIF_ROTATED = segment(
    0xE1, b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
)
"""APP1 that tells a viewer to rotate the picture by 90 degrees."""


def close(frame: Frame) -> bool:
    """Whether a frame is `FRAME` but for JPEG's loss."""
    return frame.shape == FRAME.shape and np.abs(frame.astype(int) - FRAME).max() < 24


# --- size ---


@pytest.mark.parametrize("size", [(1920, 1080), (MAX_SIDE, 1), (1, MAX_SIDE), (1, 1)])
def test_a_picture_up_to_full_hd_is_legal(size: tuple[int, int]) -> None:
    pixels = size[0] * size[1]
    assert unpack(message(Codec.GRAY, bytes(pixels), size)).decode().shape == (*size[::-1], 3)


@pytest.mark.parametrize("size", [(1920, 1081), (MAX_SIDE + 1, 1), (1, 65501), (0, 9), (9, 0)])
def test_a_larger_picture_is_refused_with_both_limits(size: tuple[int, int]) -> None:
    error = refusal(Codec.GRAY, bytes(min(size[0] * size[1], 1)), size)
    assert error.code == 4413
    assert f"1 to {MAX_PIXELS:,} pixels and sides up to {MAX_SIDE}" in str(error)
    with pytest.raises(FrameError, match=f"got {size[0]}x{size[1]}: send it smaller"):
        pack(np.zeros((*size[::-1], 3), np.uint8), 1, 1)


def test_every_legal_picture_can_be_written_as_a_jpeg() -> None:
    for size in ((MAX_SIDE, 1), (1, MAX_SIDE)):
        frame = np.zeros((*size, 3), np.uint8)
        assert unpack(pack(frame, 1, 1, Codec.JPEG)).decode().shape == frame.shape


def test_a_spec_above_the_limit_is_named_with_the_way_out() -> None:
    assert size_warnings(FrameSize(height=1080, width=1920)) == ()
    (line,) = size_warnings(FrameSize(height=1440, width=2560))
    assert line.startswith("frame: a picture has 1 to 2,073,600 pixels")
    assert "got 2560x1440: send it smaller; a player stretches every picture" in line


# --- header ---


@pytest.mark.parametrize(("agent", "camera"), [(0, 0), (1, 0), (0, 1), (7, 3), (255, 255)])
def test_a_picture_says_whose_it_is_and_of_which_camera(agent: int, camera: int) -> None:
    encoded = unpack(pack(FRAME, 1, 0, agent=agent, camera=camera))
    assert (encoded.agent, encoded.camera) == (agent, camera)


@pytest.mark.parametrize("codec", [7, 127, 128 + 7, 255])
def test_an_unknown_codec_is_answered_with_the_known_ones(codec: int) -> None:
    error = refusal(codec, b"")
    assert f"no codec {codec % 128}; known are 0 RGB, 1 RGBA" in str(error)
    assert error.code == 4415


@pytest.mark.parametrize("codec", [Codec.RGB, Codec.PNG, Codec.JPEG])
def test_rows_from_the_bottom_are_turned(codec: Codec) -> None:
    data = pack(FRAME[::-1], 7, 0, codec, bottom_up=True)
    assert data[5] == codec + 128
    frame = unpack(data).decode()
    assert close(frame) if codec is Codec.JPEG else (frame == FRAME).all()
    assert frame.flags.c_contiguous


def test_a_read_back_of_unity_or_opengl_comes_as_it_is() -> None:
    bgra = np.dstack([FRAME[::-1, :, ::-1], np.full(FRAME.shape[:2], 255, np.uint8)])
    assert (decode(Codec.BGRA + frames.BOTTOM_UP, bgra.tobytes()) == FRAME).all()
    assert (decode(Codec.BGR, FRAME[..., ::-1].tobytes()) == FRAME).all()


# --- JPEG ---


def test_a_jpegs_orientation_is_not_applied() -> None:
    assert close(decode(Codec.JPEG, JPEG[:2] + EXIF_ROTATED + JPEG[2:]))


@pytest.mark.parametrize("fill", [1, 3, 100_000])
def test_fill_bytes_before_markers_are_legal(fill: int) -> None:
    padding = b"\xff" * fill
    second = 4 + int.from_bytes(JPEG[4:6], "big")
    padded = JPEG[:2] + padding + JPEG[2:second] + padding + JPEG[second:]
    assert close(decode(Codec.JPEG, padded))


def test_a_preview_inside_a_segment_is_not_the_picture() -> None:
    preview = cv2.imencode(".jpg", np.zeros((4, 6, 3), np.uint8))[1].tobytes()
    for app in range(0xE0, 0xF0):
        data = JPEG[:2] + segment(app, b"Exif\0\0" + preview) + JPEG[2:]
        assert jpeg_size(data) == (30, 20)
        assert close(decode(Codec.JPEG, data))


def test_of_two_sizes_the_decoder_takes_ours_or_none() -> None:
    at = JPEG.index(b"\xff\xc0")
    frame_header = JPEG[at : at + 19]
    larger = frame_header[:5] + struct.pack(">HH", 900, 900) + frame_header[9:]
    assert "do not decode" in str(
        refusal(Codec.JPEG, JPEG[:at] + frame_header + larger + JPEG[at + 19 :])
    )
    assert "JPEG inside 900x900" in str(refusal(Codec.JPEG, JPEG[:at] + larger + JPEG[at:]))


@pytest.mark.parametrize("marker", [0x00, 0x01, 0xBF, *range(0xD0, 0xDB)])
def test_a_marker_without_a_segment_hides_no_other_size(marker: int) -> None:
    at = JPEG.index(b"\xff\xc0")
    small = JPEG[at : at + 5] + struct.pack(">HH", 8, 8) + JPEG[at + 9 : at + 19]
    disguised = bytes([0xFF, marker]) + small
    assert jpeg_size(JPEG[:at] + disguised + JPEG[at:]) is None


def test_segments_before_the_size_are_bounded() -> None:
    many = segment(0xFE, b"") * 2000
    assert "no JPEG" in str(refusal(Codec.JPEG, JPEG[:2] + many + JPEG[2:]))
    assert close(decode(Codec.JPEG, JPEG[:2] + many[: 4 * 300] + JPEG[2:]))


def test_a_jpeg_of_endless_scans_is_refused_before_decoding() -> None:
    progressive = cv2.imencode(".jpg", FRAME, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert decode(Codec.JPEG, progressive).shape == FRAME.shape
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    error = refusal(Codec.JPEG, progressive[:-2] + scan * MAX_SCANS + progressive[-2:])
    assert "too many parts" in str(error)


# --- PNG ---


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_pngs_texts_are_never_inflated(kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    before = b"k\0\0" if kind == b"zTXt" else b"k\0\1\0\0\0"
    text = chunk(kind, before + zlib.compress(bytes(100_000)))
    decoded: list[bytes] = []
    imdecode = cv2.imdecode

    def spy(data: Frame, flags: int) -> Any:
        decoded.append(data.tobytes())
        return imdecode(data, flags)

    monkeypatch.setattr(cv2, "imdecode", spy)
    assert (decode(Codec.PNG, PNG[:33] + text * 3 + PNG[33:]) == FRAME).all()
    assert decoded == [PNG]


def test_a_pngs_chunks_are_bounded() -> None:
    error = refusal(Codec.PNG, PNG[:33] + chunk(b"tEXt", b"k\0") * MAX_CHUNKS + PNG[33:])
    assert "too many parts" in str(error)


@pytest.mark.parametrize(
    "pixels",
    [
        FRAME[..., ::-1].astype(np.uint16) * 257,
        np.dstack([FRAME[..., ::-1], np.zeros(FRAME.shape[:2], np.uint8)]),
    ],
    ids=["16 bits", "transparent"],
)  # fmt: skip
def test_depth_and_alpha_of_a_png_are_dropped(pixels: Frame) -> None:
    assert (decode(Codec.PNG, cv2.imencode(".png", pixels)[1].tobytes()) == FRAME).all()


def test_a_palette_and_gray_become_rgb() -> None:
    gray = cv2.imencode(".png", FRAME[..., 0])[1].tobytes()
    assert (decode(Codec.PNG, gray) == FRAME[..., :1]).all()
    header = struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)
    chunks = (
        chunk(b"IHDR", header), chunk(b"PLTE", bytes([1, 2, 3, 40, 50, 60])), chunk(b"tRNS", b"\0"),
        chunk(b"IDAT", zlib.compress(b"\0\1\0")), chunk(b"IEND", b""),
    )  # fmt: skip
    frame = decode(Codec.PNG, b"\x89PNG\r\n\x1a\n" + b"".join(chunks), (2, 1))
    assert frame.tolist() == [[[40, 50, 60], [1, 2, 3]]]


# --- damage ---


@pytest.mark.parametrize(("codec", "data"), [(Codec.JPEG, JPEG), (Codec.PNG, PNG)])
def test_a_cut_picture_is_an_error_wherever_it_is_cut(codec: Codec, data: bytes) -> None:
    for length in range(0, len(data) - 2, 37):
        assert refusal(codec, data[:length]).code in (4413, 4415)


def test_another_picture_than_the_codec_says_is_named() -> None:
    assert "the bytes are no PNG" in str(refusal(Codec.PNG, JPEG))
    assert "the bytes are no JPEG" in str(refusal(Codec.JPEG, PNG))
    error = refusal(Codec.PNG, PNG, (20, 30))
    assert "the header says 20x30, the PNG inside 30x20" in str(error)

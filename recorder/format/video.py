"""Video track: frames as an H.264 file that survives a crash, and read back by their numbers.

While it is written the file is an MP4 of one fragment per frame, so that what was written stays readable when the
writer dies. At the end `remux` turns it into an ordinary MP4 with its index in front, without encoding again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from games import Frame, GameSpec
from recorder.format.append_file import AppendFile
from recorder.format.atomic import replaced_file
from recorder.format.fragments import fragment, fragment_ends
from recorder.format.manifest import CaptureError, disk_errors

CRF_STEP = 6
"""Added to crf by each lowering of quality: roughly half the bits."""
CRF_MAX = 40
"""The highest crf: beyond it frames are no longer useful."""

NEWEST_BYTES = 1 << 30
"""The largest part of a growing file, its two newest groups of pictures, that is read into memory."""


@dataclass(frozen=True)
class VideoProfile:
    """How frames are compressed (x264 ultrafast, no B-frames)."""

    crf: int
    pixel_format: str


LIVE = VideoProfile(crf=25, pixel_format="yuv420p")
"""For ordinary frames. Odd heights and widths need yuv444p, which `profile_for` picks."""
SHARP = VideoProfile(crf=14, pixel_format="yuv444p")
"""For frames under 256 pixels wide: a far animal is two pixels there, which halved colour resolution would lose.

Measured on 60 frames of voxel-v0 (128 x 72): 36.2 dB and 5.6 kB per frame, against 27.4 dB in `LIVE`.
"""


def profile_for(spec: GameSpec, profile: VideoProfile | None = None) -> VideoProfile:
    """The profile to record a game with: the given one, else by the size of its frames."""
    profile = profile or (SHARP if spec.frame.width < 256 else LIVE)
    odd = spec.frame.width % 2 or spec.frame.height % 2
    return replace(profile, pixel_format="yuv444p") if odd else profile


def frame_rate(spec: GameSpec) -> int:
    """Frames per second in the file: the game's clock, rounded; the exact times are in frames.jsonl."""
    return max(1, round(spec.step_hz))


class VideoWriter:
    """Writes frames 0, 1, 2, … of one capture, each in the file when `write` returns; a growing file is continued.

    `write` raises `DiskFullError`, and `CaptureError` where the encoder fails, with nothing written.
    """

    def __init__(self, path: Path, spec: GameSpec, profile: VideoProfile) -> None:
        self._spec = spec
        self.profile = profile
        self._encoder = _encoder(spec, profile)
        header, self._time_base = _header(spec, profile)
        self._file = AppendFile(path)
        if self._file.size < len(header):
            self._file.cut(0)
            self._file.append(header)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    def write(self, frame: Frame, number: int) -> None:
        ticks = Fraction(1, frame_rate(self._spec)) / self._time_base
        try:
            packet = self._encode(frame, number)
            content = fragment(
                number, round(number * ticks), round(ticks), packet.is_keyframe, bytes(packet)
            )
            self._file.append(content)
        except BaseException:
            self._restart()  # the encoder counts on a frame that is not in the file
            raise

    def _encode(self, frame: Frame, number: int) -> Any:
        try:
            video_frame = av.VideoFrame.from_ndarray(frame, format="rgb24")
            video_frame.pts = number
            video_frame.time_base = Fraction(1, frame_rate(self._spec))
            (packet,) = self._encoder.encode(video_frame)
            return packet
        except (av.FFmpegError, MemoryError, ValueError) as error:
            raise CaptureError(
                f"{self._file.path}: frame {number} cannot be encoded: {error}"
            ) from None

    def cut(self, size: int) -> None:
        """Remove the newest frames: those behind the first `size` bytes. The next one is a keyframe."""
        self._file.cut(size)
        self._restart()

    def lower_quality(self) -> bool:
        """Encode with fewer bits per frame from now on, which takes less time; False where quality is at its lowest."""
        if self.profile.crf + CRF_STEP > CRF_MAX:
            return False
        self.profile = replace(self.profile, crf=self.profile.crf + CRF_STEP)
        self._restart()
        return True

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    def _restart(self) -> None:
        self._encoder = _encoder(self._spec, self.profile)


def _encoder(spec: GameSpec, profile: VideoProfile) -> Any:
    """An encoder that gives a packet for each frame at once, the first a keyframe."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.framerate = frame_rate(spec)
    encoder.time_base = Fraction(1, frame_rate(spec))
    encoder.flags |= int(av.codec.context.Flags.global_header)
    _configure(encoder, spec, profile)
    return encoder


def _header(spec: GameSpec, profile: VideoProfile) -> tuple[bytes, Fraction]:
    """The boxes before the first fragment, the same for every crf, and the seconds of a tick of the track."""
    file = io.BytesIO()
    options = {"movflags": "frag_custom+empty_moov+default_base_moof"}
    with av.open(file, "w", format="mp4", options=options) as container:
        stream: Any = container.add_stream("libx264", rate=frame_rate(spec))
        _configure(stream, spec, profile)
        container.start_encoding()
        return file.getvalue(), stream.time_base


def _configure(encoder: Any, spec: GameSpec, profile: VideoProfile) -> None:
    encoder.width, encoder.height = spec.frame.width, spec.frame.height
    encoder.pix_fmt = profile.pixel_format
    encoder.options = {
        "preset": "ultrafast",
        "tune": "fastdecode,zerolatency",
        "crf": str(profile.crf),
        "g": str(frame_rate(spec)),
        "bf": "0",
        "x264-params": "stitchable=1",  # the header does not depend on crf: encoders can be swapped
    }
    encoder.thread_count = 1


def rgb_frame(converter: VideoReformatter, decoded: Any) -> Frame:
    """A decoded frame as (H, W, 3); one thread, since waking others takes longer than the work.

    Raises `CaptureError` for a frame in colours that cannot be converted.
    """
    try:
        rgb = converter.reformat(decoded, format="rgb24", threads=1)
    except (av.FFmpegError, ValueError) as error:
        raise CaptureError(f"a frame in {decoded.format.name} cannot be read: {error}") from None
    return np.asarray(rgb.to_ndarray(), np.uint8)


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """An open video file; raises `CaptureError` with its name where it is broken."""
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.video:
                raise CaptureError(f"{path} has no video")
            if container.streams.video[0].codec_context is None:
                raise CaptureError(f"{path} cannot be read: no codec of its frames is known")
            yield container
    except (av.FFmpegError, OSError, IndexError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CaptureError(f"{path} cannot be read: {reason}") from None


@dataclass(frozen=True)
class VideoSlice:
    """One episode's frames in a file of ours, whose times are frame numbers; `first` is the number of its first frame.

    Frame i of the slice is the one with the time `(first + i) / rate`, exactly.
    """

    path: Path
    rate: int
    shape: tuple[int, int, int]
    first: int = 0

    def read(self, wanted: range) -> NDArray[np.uint8]:
        """The frames with these ascending numbers (T, H, W, 3); raises `CaptureError` where one is missing."""
        out = np.empty((len(wanted), *self.shape), np.uint8)
        if not wanted:
            return out
        filled = 0
        to_rgb = VideoReformatter()  # one for all frames: setting it up costs more than using it
        for number, decoded in self._decoded(wanted[0]):
            if number == wanted[filled]:
                out[filled] = self._rgb(to_rgb, decoded)
                filled += 1
            if filled == len(wanted) or number > wanted[filled]:
                break
        if filled != len(wanted):
            raise CaptureError(f"{self.path} has {filled} of {len(wanted)} frames")
        return out

    def chunks(self, length: int, size: int = 64) -> Iterator[NDArray[np.uint8]]:
        """The first `length` frames in one pass, `size` at a time: (n, H, W, 3) each, the last one may be shorter.

        Raises `CaptureError` at the first frame that is missing, after all chunks before it.
        """
        out = np.empty((min(size, length), *self.shape), np.uint8)
        done = filled = 0
        to_rgb = VideoReformatter()
        for number, decoded in self._decoded(0) if length else ():
            if number < 0:
                continue
            if number != done:
                break
            out[filled] = self._rgb(to_rgb, decoded)
            done, filled = done + 1, filled + 1
            if filled == len(out):
                yield out
                out, filled = np.empty((min(size, length - done), *self.shape), np.uint8), 0
            if done == length:
                return
        if done != length:
            raise CaptureError(f"{self.path} has {done} of {length} frames")

    def keyframes(self, length: int) -> Iterator[Frame]:
        """The keyframes among the first `length` frames, (H, W, 3) each: a sample that is cheap to decode."""
        to_rgb = VideoReformatter()
        for number, decoded in self._decoded(0, skip="NONKEY"):
            if number >= length:
                return
            if number >= 0:
                yield self._rgb(to_rgb, decoded)

    def _decoded(self, begin: int, skip: str = "DEFAULT") -> Iterator[tuple[int, Any]]:
        """Decoded frames and their numbers, from the keyframe at or before `begin` on."""
        with reading(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            stream.codec_context.skip_frame = skip
            tick = float(stream.time_base or 1) * self.rate  # pts to frame number
            if self.first + begin:
                container.seek(round((self.first + begin) / tick), stream=stream)
            for decoded in container.decode(stream):
                if decoded.pts is not None:
                    number = round(decoded.pts * tick) - self.first
                    if decoded.is_corrupt:  # the decoder made up what it could not read
                        raise CaptureError(f"{self.path}: frame {number} is damaged")
                    yield number, decoded

    def _rgb(self, converter: VideoReformatter, decoded: Any) -> Frame:
        if (decoded.height, decoded.width) != self.shape[:2]:
            raise CaptureError(
                f"{self.path}: frames of {decoded.height} x {decoded.width}, not {self.shape[0]} x {self.shape[1]}"
            )
        return rgb_frame(converter, decoded)


def intact_packets(container: Any) -> Iterator[Any]:
    """The compressed frames of an open file up to where it is cut off."""
    try:
        for packet in container.demux(container.streams.video[0]):
            if packet.size == 0 or packet.is_corrupt:
                return
            yield packet
    except (av.FFmpegError, OSError):
        return


def count_frames(path: Path, rate: int) -> int:
    """Frames that can be decoded from the start on; raises `CaptureError` where the file is no video.

    Compressed frames are counted and only the last group of pictures is decoded: a file is cut off at its end.
    """
    with reading(path) as container:
        packets = enumerate(intact_packets(container))
        last = max((i for i, packet in packets if packet.is_keyframe), default=0)
    count = 0
    with reading(path) as container, suppress(av.FFmpegError):
        stream = container.streams.video[0]
        tick = float(stream.time_base or 1) * rate
        container.seek(round(last / tick), stream=stream)
        for decoded in container.decode(stream):
            count += round((decoded.pts or 0) * tick) >= last
    return last + count


def growing_frames(path: Path, rate: int) -> list[int]:
    """The byte at which the header of a growing file ends, then each frame that can be decoded from the start on.

    Empty for a file that does not grow: an ordinary MP4, or no video at all. Only the newest frames are decoded: a file
    is cut off at its end.
    """
    ends = fragment_ends(path)
    first = max(0, len(ends) - 1 - 2 * rate)  # at least one group of pictures
    if len(ends) < 2:
        return ends
    if ends[-1] - ends[first] > NEWEST_BYTES:
        raise CaptureError(
            f"{path} is damaged: {2 * rate} frames of {ends[-1] - ends[first]:,} bytes"
        )
    with path.open("rb") as file:
        newest = file.read(ends[0])
        file.seek(ends[first])
        newest += file.read(ends[-1] - ends[first])
    frames = 0
    with suppress(av.FFmpegError), av.open(io.BytesIO(newest)) as container:
        packets = intact_packets(container)
        for packet in dropwhile(lambda packet: not packet.is_keyframe, packets):
            for decoded in packet.decode():
                frames = round((decoded.pts or 0) * float(packet.time_base) * rate) + 1
    return ends[: frames + 1]


def remux(path: Path, frames: int) -> None:
    """Rewrite a fragmented file as an ordinary MP4 of its first `frames` frames, atomically.

    Raises `DiskFullError` where there is no room for both, `CaptureError` where it has fewer frames; it stays then.
    """
    with disk_errors(path.parent), replaced_file(path) as draft:
        _copy_packets(path, draft, frames)
        with reading(draft) as written:  # the muxer does not report every error of a full disk
            copied = sum(1 for _ in intact_packets(written))
        if copied != frames:
            raise CaptureError(f"{path}: {copied} of {frames} frames could be copied")


def _copy_packets(path: Path, draft: Path, frames: int) -> None:
    options = {"movflags": "faststart"}
    with reading(path) as source, disk_errors(path.parent), writing(draft, options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in islice(intact_packets(source), frames):
            packet.stream = stream
            target.mux(packet)


@contextmanager
def writing(path: Path, options: dict[str, str]) -> Iterator[Any]:
    """A new MP4; errors of the muxer are raised as `OSError` with their number."""
    try:
        with av.open(str(path), "w", format="mp4", options=options) as container:
            yield container
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error

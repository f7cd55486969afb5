"""Video index: the times of a file's pictures in the order they are shown, for files that others wrote.

The compressed pictures are listed once, without decoding. A picture is known by its number in that list, and looked up
by the exact time there: rates, starts, orders of coding and edit lists need no arithmetic.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from games import Frame
from recorder.format.manifest import CaptureError
from recorder.format.video import intact_packets, reading, rgb_frame

MAX_SIDE = 4096
"""Largest height and width of frames that are read."""
MAX_PICTURES = 1 << 24
"""Most pictures of a file: 6 days at 30 a second."""


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """The pictures of a file: `times` and, of the keyframes, `keys`, both ascending, in ticks of `tick` seconds.

    `digests` are 8 bytes of BLAKE2 of each compressed picture.
    """

    path: Path
    times: NDArray[np.int64]
    digests: NDArray[np.uint64]
    keys: NDArray[np.int64]
    tick: float

    @property
    def seconds(self) -> NDArray[np.float64]:
        """The times in seconds, as the file has them: the first need not be 0."""
        return np.asarray(self.times * self.tick, np.float64)

    def content_hash(self, first: int, count: int) -> str:
        """A hash of some of the pictures as they are compressed, wherever in the file they are."""
        return hashlib.sha256(self.digests[first : first + count].tobytes()).hexdigest()

    def frames(self, first: int, count: int) -> Iterator[Frame]:
        """`count` frames from picture `first` on, each (H, W, 3) in the file's size, one in memory at a time.

        Raises `CaptureError` at a picture that is missing or cannot be decoded.
        """
        wanted = self.times[first : first + count]
        if len(wanted) != count:
            raise CaptureError(
                f"{self.path} has {len(self.times)} pictures, not the {first + count} that are needed"
            )
        done = 0
        to_rgb = VideoReformatter()
        for decoded in self._decoded(int(wanted[0])) if count else ():
            if decoded.pts is not None and decoded.pts < wanted[done]:
                continue
            if decoded.pts != wanted[done] or decoded.is_corrupt:
                break
            _check_size(self.path, decoded)
            yield rgb_frame(to_rgb, decoded)
            done += 1
            if done == count:
                return
        if done != count:
            raise CaptureError(f"{self.path}: picture {first + done} cannot be decoded")

    def _decoded(self, begin: int) -> Iterator[Any]:
        """Decoded pictures from one at or before the time `begin` on."""
        earlier = self.keys[: np.searchsorted(self.keys, begin, "right")]
        for seek in (int(earlier[-1]), None) if len(earlier) else (None,):
            with reading(self.path) as container:
                stream = container.streams.video[0]
                stream.thread_type = "NONE"
                stream.codec_context.options = {"max_pixels": str(MAX_SIDE**2)}
                if seek is not None:
                    with suppress(av.FFmpegError):  # some files cannot be sought in
                        container.seek(seek, stream=stream)
                decoded = container.decode(stream)
                first = next(decoded, None)
                lands_late = first is None or first.pts is None or first.pts > begin
                if first is None or (seek is not None and lands_late):
                    continue
                yield first
                yield from decoded
                return


def video_index(path: Path) -> VideoIndex:
    """The index of a video file; raises `CaptureError` in one line for what is none."""
    try:
        stat = path.stat()
    except (OSError, ValueError) as error:
        raise CaptureError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    return _video_index(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _video_index(path: Path, size: int, changed_ns: int) -> VideoIndex:
    times, keys, digests = array("q"), array("q"), bytearray()
    with reading(path) as container:
        stream = container.streams.video[0]
        _check_size(path, stream.codec_context)
        tick = float(stream.time_base or 1)
        for packet in intact_packets(container):
            if packet.pts is None:
                raise CaptureError(f"{path}: a picture has no time")
            if packet.is_keyframe:
                keys.append(packet.pts)
            if not packet.is_discard:  # an edit list leaves it out
                times.append(packet.pts)
                digests += hashlib.blake2b(packet, digest_size=8).digest()
            if len(times) > MAX_PICTURES:
                raise CaptureError(f"{path}: more than {MAX_PICTURES} pictures")
    shown = np.array(times, np.int64)
    order = np.argsort(shown)
    if (np.diff(shown[order]) == 0).any():
        raise CaptureError(f"{path}: two pictures have the same time")
    coded = np.frombuffer(bytes(digests), np.uint64)
    return VideoIndex(path, shown[order], coded[order], np.sort(np.array(keys, np.int64)), tick)


def _check_size(path: Path, frame: Any) -> None:
    if not 0 < max(frame.height, frame.width) <= MAX_SIDE:
        raise CaptureError(
            f"{path}: frames of {frame.height} x {frame.width}, larger than {MAX_SIDE}"
        )

"""Video of a VPT recording: the times of its pictures without decoding, and the pictures by their times."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from games import Frame
from recorder.format.manifest import CaptureError
from recorder.format.video import reading
from recorder.format.video_index import MAX_SIDE
from recorder.formats.vpt.picture_times import PictureTimes

MAX_PICTURES = 16_000_000
"""Most pictures of one video: 74 hours at 60 a second."""


@dataclass(frozen=True)
class Pictures:
    """The pictures of a video, in the order in which they are shown."""

    path: Path
    pts: NDArray[np.int64]
    """Their times in the file's unit, ascending."""
    times: PictureTimes

    def decoded(self) -> Iterator[tuple[int, Any]]:
        """Index and decoded picture, one after the other up to the first damage; some may be missing.

        What follows damage may show another picture's content. `rgb` makes a frame of a picture.
        """
        with reading(self.path) as container:
            for picture in _decoded(container):
                index = int(np.searchsorted(self.pts, picture.pts or 0))
                if index < len(self.pts) and self.pts[index] == picture.pts:
                    yield index, picture


def pictures(path: Path, *, is_sparse: bool = False) -> Pictures:
    """The pictures of a NAME.mp4, up to where the file is cut off, counted from its first one.

    `is_sparse`: one of a picture a tick may lack any number of them (`PictureTimes.of`).

    Raises `CaptureError` where it is no video, has no times, or is of a size or length that is not read.
    """
    with reading(path) as container:
        stream = _stream(container, path)
        unit = float(stream.time_base or 0)
        pts, is_torn = _packet_times(container, stream, path)
    order = np.unique(np.array(pts, np.int64))
    if not len(order) or not unit:
        raise CaptureError(f"{path} has no picture")
    seconds = (order - order[0]) * unit
    return Pictures(path, order, PictureTimes.of(seconds, is_torn=is_torn, is_sparse=is_sparse))


def rgb(picture: Any) -> Frame:
    """A decoded picture as (H, W, 3) uint8."""
    return np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)


def _stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise CaptureError(f"{path} has no video")
    stream = container.streams.video[0]
    if max(stream.height, stream.width) > MAX_SIDE:
        raise CaptureError(f"{path}: frames of {stream.height} x {stream.width}")
    return stream


def _packet_times(container: Any, stream: Any, path: Path) -> tuple[array[int], bool]:
    """The times of the compressed pictures that are shown, and whether the file ends before they do."""
    pts: array[int] = array("q")
    packets, is_torn = 0, False
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                is_torn = True
                break
            if packet.size == 0:
                continue
            packets += 1
            if packet.is_discard:  # before the beginning that the file's edit list says
                continue
            if packet.pts is None:
                raise CaptureError(f"{path}: its pictures have no times")
            if packets > MAX_PICTURES:
                raise CaptureError(f"{path} has more than {MAX_PICTURES} pictures: split it")
            pts.append(packet.pts)
    except av.FFmpegError:
        is_torn = True
    return pts, is_torn or packets < stream.frames


def _decoded(container: Any) -> Iterator[Any]:
    try:
        for packet in container.demux(container.streams.video[0]):
            if packet.is_corrupt:
                return
            for picture in packet.decode():
                if picture.is_corrupt or max(picture.height, picture.width) > MAX_SIDE:
                    return
                yield picture
    except av.FFmpegError:
        return

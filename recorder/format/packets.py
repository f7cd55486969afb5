"""Compressed frames of an episode, copied without decoding."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from recorder.format.manifest import CaptureError
from recorder.format.video import VideoSlice, intact_packets, reading


def check_packets(video: VideoSlice, length: int) -> None:
    """Raise `CaptureError` where one of the first `length` frames is missing or out of order, without decoding any."""
    with reading(video.path) as source:
        tick = float(source.streams.video[0].time_base or 1) * video.rate
        done = 0
        for packet in episode_packets(source, video, length):
            if packet.pts is None or round(packet.pts * tick) != video.first + done:
                break
            done += 1
    if done != length:
        raise CaptureError(f"{video.path}: {done} of {length} frames")


def episode_packets(source: Any, video: VideoSlice, length: int) -> Iterator[Any]:
    """The compressed frames of an episode, from an open file; an episode begins with a keyframe."""
    stream = source.streams.video[0]
    if video.first:
        tick = float(stream.time_base or 1) * video.rate
        source.seek(round(video.first / tick), stream=stream)
    return islice(intact_packets(source), length)

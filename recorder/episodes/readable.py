"""Readability of episodes: whether rows, texts and video of each can be used, checked without decoding."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from typing import Any

from recorder.episodes.episode import Episode, EpisodeSet
from recorder.format.manifest import CaptureError, Skipped
from recorder.format.video import VideoSlice, intact_packets, reading


def readable_episodes(
    episodes: EpisodeSet,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> EpisodeSet:
    """Those that `check_readable` passes; the others are added to `skipped`.

    With `strict` the first of those raises `CaptureError`. `progress(done, total)` is called per episode.
    """
    readable, skipped = [], list(episodes.skipped)
    for done, episode in enumerate(episodes, start=1):
        try:
            check_readable(episode)
            readable.append(episode)
        except CaptureError as error:
            if strict:
                raise CaptureError(f"{episode.id}: {error}") from None
            skipped.append(Skipped(episode.id, str(error)))
        if progress:
            progress(done, len(episodes))
    return EpisodeSet(readable, skipped)


def check_readable(episode: Episode) -> None:
    """Raise `CaptureError` where an episode cannot be used.

    Every row must be there and legal, every text well formed, every reward finite, and the video must hold a compressed
    picture of the game's size for each step. Pictures are not decoded; what was read is not kept.
    """
    reader = copy(episode)  # what it caches goes with it
    for column in (reader.actions, reader.executed, reader.by, reader.observed, reader.rewards):
        if len(column) != len(reader):
            raise CaptureError(f"{reader.folder}: {len(column)} actions for {len(reader)} steps")
    if wrong := [i for i, reward in enumerate(reader.rewards) if not math.isfinite(reward)]:
        raise CaptureError(f"{reader.folder}: the reward of step {wrong[0]} is no finite number")
    if beyond := [i for i in reader.dropped_before if not 0 <= i < len(reader)]:
        raise CaptureError(f"{reader.folder}: a gap before step {beyond[0]} of {len(reader)}")
    _ = reader.all_texts
    check_video(reader.video, len(reader))


def check_video(video: VideoSlice, length: int) -> None:
    """Raise `CaptureError` where a video has no compressed picture of the right size for each of `length` steps."""
    needed = video.first + length
    with reading(video.path) as container:
        stream = container.streams.video[0]
        if (size := (stream.height, stream.width)) != video.shape[:2]:
            raise CaptureError(
                f"{video.path} has pictures of {size[1]}x{size[0]}, the game {video.shape[1]}x{video.shape[0]}"
            )
        if _is_indexed(stream, needed, video.path.stat().st_size):
            return
        count = sum(1 for _ in intact_packets(container))
    if count < needed:
        raise CaptureError(
            f"{video.path} has {max(count - video.first, 0)} pictures for {length} steps"
        )


def pictures_size(video: VideoSlice, length: int) -> int:
    """Bytes of a video's compressed pictures, as its index has them."""
    with reading(video.path) as container:
        entries = container.streams.video[0].index_entries
        last = min(video.first + length, len(entries))
        return sum(entries[i].size for i in range(video.first, last))


def _is_indexed(stream: Any, needed: int, size: int) -> bool:
    """Whether the file's index has so many pictures and the file of `size` bytes reaches to the end of the last."""
    entries = stream.index_entries
    if not 0 < needed <= len(entries):
        return False
    last = entries[needed - 1]
    return bool(last.pos + last.size <= size)

"""Broken videos: episodes whose pictures do not decode, left out of a frame cache and remembered beside it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from recorder.episodes.episode import Episode, EpisodeSet
from recorder.episodes.frame_cache import BrokenVideosError
from recorder.format.atomic import write_atomic
from recorder.format.manifest import Skipped

logger = logging.getLogger("iafm.episodes")
Cache = TypeVar("Cache")
SUFFIX = ".broken"
"""Of the file beside a cache: a JSON object with the reason by video, its size and its time."""


def without_broken(
    episodes: EpisodeSet, path: Path, make: Callable[[EpisodeSet], Cache]
) -> tuple[EpisodeSet, Cache]:
    """The episodes whose videos decode, the others in `skipped`, and the cache that `make` builds of them at `path`.

    What does not decode is known only once it was tried: the cache is built again without it. A later call leaves it
    out at once, as long as the video is the same.
    """
    known = _read(path)
    while True:
        reasons = {i: known[key] for i, e in enumerate(episodes) if (key := _key(e)) in known}
        good = [e for i, e in enumerate(episodes) if i not in reasons]
        skipped = [Skipped(episodes[i].id, why) for i, why in reasons.items()]
        usable = EpisodeSet(good, (*episodes.skipped, *skipped))
        try:
            return usable, make(usable)
        except BrokenVideosError as error:
            logger.warning("%d videos do not decode: again without them", len(error.reasons))
            known |= {_key(good[i]): why for i, why in error.reasons.items()}
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path.with_suffix(SUFFIX), json.dumps(known))


def _key(episode: Episode) -> str:
    """A video's place, size and time, and the episode's place in it."""
    video = episode.video
    try:
        stat = video.path.stat()
    except OSError:
        return f"{video.path} {video.first}"
    return f"{video.path} {video.first} {stat.st_size} {stat.st_mtime_ns}"


def _read(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.with_suffix(SUFFIX).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(k): str(why) for k, why in known.items()} if isinstance(known, dict) else {}

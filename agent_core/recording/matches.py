"""Recorded matches under any number of paths: our episodes, a dataset of ours, or what others recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from agent_core.recording.episodes import ImportOptions, import_episodes
from recorder import (
    CaptureError,
    Episode,
    EpisodeSet,
    Skipped,
    detect_format,
    find_episodes,
    open_readable,
)

logger = logging.getLogger("iafm.import")


def open_matches(
    paths: Sequence[Path],
    imported: Path,
    *,
    game: str | None = None,
    options: ImportOptions | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> EpisodeSet:
    """The episodes under the paths, all of one game; what others recorded is imported below the folder `imported`.

    `game` is the one of foreign recordings. Damaged ones are in `skipped`, and logged; with `strict` the first raises
    `CaptureError`. So do a path without a match, and matches of two games.
    """
    episodes: list[Episode] = []
    skipped: list[Skipped] = []
    for number, path in enumerate(paths):
        if not path.exists():
            raise CaptureError(f"there is no {path}; name a folder of episodes, or of recordings")
        folder = path
        if is_foreign(path):
            folder = imported / str(number)
            report = import_episodes(path, folder, game, options, progress, strict=strict)
            skipped += [Skipped(**each) for each in report["skipped"]]
            if not report["episodes"] and report["skipped"]:
                continue
        opened = open_readable(folder, strict=strict, progress=progress)
        episodes += opened
        skipped += opened.skipped
        for each in opened.skipped:
            logger.warning("skipped %s: %s", each.source, each.why)
    _check_one_game(episodes)
    return EpisodeSet(episodes, skipped)


def is_foreign(path: Path) -> bool:
    """Whether others recorded what is there, so that it has to be imported."""
    try:
        held = find_episodes(path)
    except CaptureError:
        held = EpisodeSet([])
    if len(held) or held.skipped:
        return False
    try:
        detect_format(path)
    except CaptureError:
        return False
    return True


def _check_one_game(episodes: Sequence[Episode]) -> None:
    """Raise `CaptureError` where the matches are not all of one spec."""
    for episode in episodes:
        if episode.spec != (first := episodes[0]).spec:
            what = f"{first.id} is of {first.spec.id}, {episode.id} of {episode.spec.id}"
            how = " with other controls or frames" * (episode.spec.id == first.spec.id)
            raise CaptureError(f"matches of two games: {what}{how}; replay one game at a time")

"""Validation of a capture: every track is read from end to end, as a stream, and compared with the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recorder.episodes.episode import Episode
from recorder.episodes.readable import check_video
from recorder.format.actions import read_steps
from recorder.format.frames import read_frame_rows
from recorder.format.manifest import (
    ACTIONS,
    EVENTS,
    FRAMES,
    MANIFEST,
    CaptureError,
    iter_lines,
    read_texts,
)
from recorder.format.video import intact_packets, reading

MAX_PROBLEMS = 10
"""Problems of one track that are named; further ones are counted."""


@dataclass(frozen=True)
class Validation:
    """What reading an episode from end to end came to."""

    problems: tuple[str, ...]
    """A line each."""
    dropped: int = 0
    """Steps of the game that were dropped while it was recorded, as the capture itself says."""


def validate(capture: Path | Episode) -> list[str]:
    """The problems of a capture or an exported episode, a line each; empty where there are none."""
    return list(examine(capture).problems)


def examine(capture: Path | Episode) -> Validation:
    """Read an episode from end to end. An hour of play takes a few megabytes of memory beside the pictures' own."""
    try:
        episode = capture if isinstance(capture, Episode) else Episode.open(capture)
    except CaptureError as error:
        return Validation((str(error),))
    if episode.manifest.status == "recording":
        return Validation(("not closed: still being recorded, or run `iafm episodes recover`",))
    checks: tuple[Check, ...] = (_columns, _texts, _video)
    if _is_capture(episode):
        checks = (_actions, _frames, _texts, _events, _video)
    dropped, problems = 0, list[str]()
    for check in checks:
        track = Track()
        try:
            dropped += check(episode, track)
        except CaptureError as error:
            track.add(error)
        problems += track.lines()
    return Validation(tuple(problems), dropped)


class Track:
    """The problems of one track."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._further = 0

    def add(self, problem: CaptureError | str) -> None:
        """Note a problem; beyond `MAX_PROBLEMS` it is only counted."""
        if len(self._lines) < MAX_PROBLEMS:
            self._lines.append(str(problem))
        else:
            self._further += 1

    def lines(self) -> list[str]:
        """A line per problem, and how many more there are."""
        more = f"and {self._further} more problems of this kind"
        return self._lines + [more] * bool(self._further)


Check = Callable[[Episode, Track], int]
"""Adds what is wrong with a track, and returns the steps that were dropped according to it."""


def _is_capture(episode: Episode) -> bool:
    """Whether it has files of its own; the episodes of a dataset share them."""
    return (episode.folder / MANIFEST).exists()


def _columns(episode: Episode, track: Track) -> int:
    """The values by step of an exported episode."""
    spec = episode.spec
    for name, actions in (("action", episode.actions), ("executed action", episode.executed)):
        for i, action in enumerate(actions):
            try:
                if spec.normalize(action) != action:
                    track.add(f"step {i}: {name} {action} lies between the game's levels")
            except ValueError as error:
                track.add(f"step {i}: {name} {error}")
    return sum(episode.dropped_before.values())


def _actions(episode: Episode, track: Track) -> int:
    for _ in read_steps(episode.folder, episode.spec, episode.header.actor, track.add):
        pass
    _check_lines(episode, ACTIONS, track)
    return 0


def _frames(episode: Episode, track: Track) -> int:
    dropped, time, backwards = 0, 0, 0
    for row in read_frame_rows(episode.folder, track.add):
        dropped += row.dropped_before
        backwards += row.t_ns < time
        time = row.t_ns
    if backwards:
        track.add(f"{episode.folder / FRAMES}: time runs backwards ({backwards} times)")
    _check_lines(episode, FRAMES, track)
    return dropped


def _check_lines(episode: Episode, name: str, track: Track) -> None:
    """Add a problem where a file has not one line for each step."""
    path, lines, last = episode.folder / name, 0, b"\n"
    if path.exists():
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                lines, last = lines + block.count(b"\n"), block
    if lines != len(episode):
        torn = "" if last.endswith(b"\n") else ", and a torn one"
        track.add(f"{path} has {lines} lines for {len(episode)} steps{torn}")


def _events(episode: Episode, track: Track) -> int:
    rows = iter_lines(episode.folder / EVENTS, track.add)
    ends = [row.get("steps") for _, row in rows if row.get("kind") == "dropped_at_end"]
    return sum(steps for steps in ends if type(steps) is int)


def _texts(episode: Episode, track: Track) -> int:
    length, earlier = len(episode), set[int]()
    texts = read_texts(episode.folder, track.add) if _is_capture(episode) else episode.all_texts
    for span in texts:
        if not 0 <= span.i0 <= length or not span.i0 <= (span.i1 or span.i0) <= length:
            track.add(f"text {span.id} is about steps {span.i0} to {span.i1} of {length}")
        if span.id in earlier:
            track.add(f"two texts have the id {span.id}")
        if span.supersedes is not None and span.supersedes not in earlier:
            track.add(f"text {span.id} supersedes {span.supersedes}, which is no earlier text")
        earlier.add(span.id)
    return 0


def _video(episode: Episode, track: Track) -> int:
    """Every picture is decoded, in one pass."""
    video, length = episode.video, len(episode)
    check_video(video, length)
    if _is_capture(episode):
        with reading(video.path) as container:
            pictures = sum(1 for _ in intact_packets(container))
        if pictures != length:
            track.add(f"{video.path}: {pictures} frames for {length} steps")
    for _ in video.chunks(length):
        pass
    return 0

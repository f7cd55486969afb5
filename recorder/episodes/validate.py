"""Validation of a capture: every track is read from end to end and compared with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from games import ActionError
from recorder.episodes.episode import Episode
from recorder.format.manifest import ACTIONS, EVENTS, FRAMES, CaptureError, read_lines
from recorder.format.video import count_frames


def validate(capture: Path | Episode) -> list[str]:
    """The problems of a capture or an exported episode, a line each; empty where there are none."""
    try:
        episode = capture if isinstance(capture, Episode) else Episode.open(capture)
    except CaptureError as error:
        return [str(error)]
    if episode.manifest.status == "recording":
        return ["not closed: still being recorded, or run `iafm episodes recover`"]
    checks: list[Callable[[Episode], Sequence[str]]] = [_video, _actions, _texts]
    if (episode.folder / ACTIONS).exists():
        checks += [_tracks]
    problems: list[str] = []
    for check in checks:
        try:
            problems += check(episode)
        except CaptureError as error:
            problems.append(str(error))
    return problems


def _video(episode: Episode) -> list[str]:
    if not episode.video.first and (episode.folder / ACTIONS).exists():
        frames = count_frames(episode.video.path, episode.video.rate)
        if frames != len(episode):
            return [f"{frames} frames for {len(episode)} steps"]
    episode.frames()
    return []


def _actions(episode: Episode) -> list[str]:
    spec, problems = episode.spec, []
    for name, actions in (("action", episode.actions), ("executed action", episode.executed)):
        for i, action in enumerate(actions):
            try:
                is_legal = spec.normalize(action) == action
            except ActionError as error:
                problems.append(f"step {i}: {name} {error}")
                continue
            if not is_legal:
                problems.append(f"step {i}: {name} {action} lies between the game's levels")
    return problems


def _texts(episode: Episode) -> list[str]:
    problems = []
    earlier: set[int] = set()
    for span in episode.all_texts:
        if not 0 <= span.i0 <= len(episode) or not span.i0 <= (span.i1 or span.i0) <= len(episode):
            problems.append(
                f"text {span.id} is about steps {span.i0} to {span.i1} of {len(episode)}"
            )
        if span.id in earlier:
            problems.append(f"two texts have the id {span.id}")
        if span.supersedes is not None and span.supersedes not in earlier:
            problems.append(
                f"text {span.id} supersedes {span.supersedes}, which is no earlier text"
            )
        earlier.add(span.id)
    return problems


def _tracks(episode: Episode) -> list[str]:
    problems, steps = [], len(episode)
    rows = {name: read_lines(episode.folder / name) for name in (FRAMES, ACTIONS)}
    for name, lines in rows.items():
        if len(lines) != steps:
            problems.append(f"{name} has {len(lines)} lines for {steps} steps")
        elif [line.get("i") for line in lines] != list(range(steps)):
            problems.append(f"{name} does not count its steps from 0 on")
    times = [line.get("t_ns", 0) for line in rows[FRAMES]]
    if any(later < earlier for earlier, later in pairwise(times)):
        problems.append(f"{FRAMES}: time runs backwards")
    read_lines(episode.folder / EVENTS)
    return problems

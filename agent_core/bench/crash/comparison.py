"""Comparison of captures with what a game's log says was accepted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent_core.bench.crash.game import action_of, number_in
from recorder import CaptureError, Episode, validate
from recorder.format.manifest import EVENTS, read_lines

CLOSED = ("closed", "interrupted", "recovered")


@dataclass
class Losses:
    """What is missing of what was accepted, and what is wrong with what is there."""

    frames: int = 0
    events: int = 0
    texts: int = 0
    episodes: int = 0
    wrong: list[str] = field(default_factory=list)
    """Problems of validation; frames, actions or texts that do not stand beside each other."""

    def none_beyond(self, frames: int) -> bool:
        return self.frames <= frames and not (
            self.events or self.texts or self.episodes or self.wrong
        )


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a game's log; its last line may be torn."""
    return read_lines(path)


def losses(out: Path, log: list[dict[str, Any]]) -> Losses:
    """Compare every capture of a log with its folder."""
    total = Losses()
    for rows in _by_capture(log):
        _compare(out / rows[0]["capture"], rows[1:], total)
    return total


def _by_capture(log: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    captures: list[list[dict[str, Any]]] = []
    for row in log:
        if "capture" in row:
            captures.append([])
        if captures:
            captures[-1].append(row)
    return captures


def _compare(folder: Path, rows: list[dict[str, Any]], total: Losses) -> None:
    accepted = [row["step"] for row in rows if "step" in row]
    dropped = max((row["dropped"] for row in rows if "step" in row), default=0)
    try:
        episode = Episode.open(folder)
        frames = [number_in(frame) for frame in episode.frames()]
        if episode.manifest.status not in CLOSED:
            raise CaptureError(episode.manifest.status)
    except CaptureError:
        total.episodes += len(accepted) > dropped
        return
    total.wrong += validate(folder)
    total.frames = max(total.frames, len(set(accepted) - set(frames)) - dropped)
    _compare_steps(episode, frames, total)
    _compare_notes(episode, frames, rows, total)


def _compare_steps(episode: Episode, frames: list[int], total: Losses) -> None:
    if frames != sorted(set(frames)):
        total.wrong.append(f"{episode.id}: frames out of order")
    for i, (frame, action) in enumerate(zip(frames, episode.actions, strict=True)):
        if action != action_of(frame):
            total.wrong.append(f"{episode.id}: step {i} has frame {frame} and another's action")
    gaps = sum(b - a - 1 for a, b in pairwise(frames))
    counted = sum(count for i, count in episode.dropped_before.items() if i)
    if gaps != counted:
        total.wrong.append(f"{episode.id}: {gaps} frames are missing, {counted} are counted")


def _compare_notes(
    episode: Episode, frames: list[int], rows: list[dict[str, Any]], total: Losses
) -> None:
    events = {row.get("number") for row in read_lines(episode.folder / EVENTS)}
    total.events += len({row["event"] for row in rows if "event" in row} - events)
    texts = {span.text: span for span in episode.all_texts}
    total.texts += len({str(row["text"]) for row in rows if "text" in row} - texts.keys())
    for text, span in texts.items():
        later = [frame for frame in frames if frame >= int(text)]
        expected = frames.index(later[0]) if later else len(frames)
        if span.i0 != expected:
            total.wrong.append(f"{episode.id}: text {text} is at {span.i0}, not {expected}")


def to_json(text: str) -> Any:
    """The last line of a command's output as JSON; None where there is none."""
    lines = text.strip().splitlines()
    try:
        return json.loads(lines[-1]) if lines else None
    except ValueError:
        return None

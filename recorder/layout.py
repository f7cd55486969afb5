"""Which files does a capture have, and what is in its manifest?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from games import GameSpec

FORMAT = 1
MANIFEST, FRAMES, ACTIONS, EVENTS, TEXT = (
    "manifest.json",
    "frames.jsonl",
    "actions.jsonl",
    "events.jsonl",
    "text.jsonl",
)
VIDEO = "video/main.mp4"

Style = Literal["instruction", "thought", "correction", "caption", "quick_tag"]
Clock = Literal["lockstep", "wallclock"]
Status = Literal["recording", "closed", "recovered"]


class CaptureError(ValueError):
    """A capture cannot be written or read; the message names it and the way out."""


class CaptureInfo(BaseModel):
    """What one episode is about: who played, what was asked, and how it ended (None: not known)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: str = ""
    task: str = ""
    seed: int | None = None
    player: str = "human"
    """human, expert (a scripted teacher), random, or agent."""
    author: str = ""
    clock: Clock = "lockstep"
    success: bool | None = None


class Manifest(BaseModel):
    """`manifest.json`: written first, replaced atomically; `writer` is the writing process while it records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    id: str
    spec: GameSpec
    info: CaptureInfo
    status: Status = "recording"
    writer: int = 0
    start_wall_ns: int
    start_t_ns: int
    steps: int | None = None
    pixel_format: str = "yuv420p"


class TextSpan(BaseModel):
    """Words about steps i0 to i1 (None: open ended)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    kind: Literal["state", "event"] = "state"
    t0_ns: int
    t1_ns: int | None = None
    i0: int
    i1: int | None = None
    text: str
    style: Style
    source: str
    author: str = ""
    supersedes: int | None = None


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content in one step: a reader sees the old or the new, never a part."""
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a line file; a torn last line is left out, a missing file is empty."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise CaptureError(f"{path}: line {len(rows) + 1} is no JSON: {error}") from None
    return rows

"""Capture manifest: the files of a capture, its header, its texts, and JSON lines."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from games import GameSpec
from games.validation_error import first_error
from recorder.format.atomic import write_atomic

FORMAT = 2
"""Format 1 is read too: it had `info.player`, and other keys in `actions.jsonl` (`recorder.format.actions`)."""
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
Status = Literal["recording", "closed", "interrupted", "recovered"]
"""interrupted: closed after an exception, Ctrl-C or the death of the game; recovered: by `recover`."""


class CaptureError(ValueError):
    """A capture that cannot be written or read; the message names it and the way out."""


class DiskFullError(CaptureError):
    """The disk is full, or nearly: what was being written is not complete."""


@dataclass(frozen=True)
class Skipped:
    """Something that was left out, and why: an episode, a recording, or one line of it."""

    source: str
    why: str


class ImportSource(BaseModel):
    """What an imported episode was made of: its name there, a SHA-256 of its content, and the options of the import."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    options: str = ""


class CaptureInfo(BaseModel):
    """Header of an episode: who played, the instruction, and how it ended (None: not known)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: str = ""
    task: str = ""
    seed: int | None = None
    actor: str = "human"
    """human, expert (scripted), random, or agent."""
    author: str = ""
    clock: Clock = "lockstep"
    success: bool | None = None
    source: ImportSource | None = None
    """None where it was recorded, not imported."""


class Manifest(BaseModel):
    """`manifest.json`: written first, replaced atomically.

    `writer` is the number of the writing process while it records, `writer_started` when the system started it
    (clock ticks since boot; None where that is not known): a younger process with the same number is no writer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    id: str
    spec: GameSpec
    info: CaptureInfo
    status: Status = "recording"
    writer: int = 0
    writer_started: int | None = None
    start_wall_ns: int
    start_t_ns: int
    steps: int | None = None
    pixel_format: str = "yuv420p"

    @model_validator(mode="before")
    @classmethod
    def _as_format_2(cls, raw: Any) -> Any:
        if (
            not isinstance(raw, dict)
            or raw.get("format") != 1
            or not isinstance(raw.get("info"), dict)
        ):
            return raw
        names = {"player": "actor"}
        info = {names.get(name, name): value for name, value in raw["info"].items()}
        return {**raw, "format": FORMAT, "info": info}


class TextSpan(BaseModel):
    """A text about steps `i0` to `i1` (exclusive; None: open ended)."""

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


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Around writing: an error of the system that says the disk is full is raised as `DiskFullError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise DiskFullError(f"{place}: the disk is full, make room first") from error


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Replace a line file by these objects, in one step."""
    lines = (json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n" for row in rows)
    write_atomic(path, "".join(lines))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    write_atomic(folder / MANIFEST, manifest.model_dump_json(exclude_none=True))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a capture; raises `CaptureError` with one line where it is missing or broken."""
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CaptureError(f"{folder} is no capture: it has no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path} is damaged: {error}") from None
    if isinstance(raw, dict) and raw.get("format", FORMAT) not in (1, FORMAT):
        raise CaptureError(f"{folder}: format {raw['format']}, this version reads 1 and {FORMAT}")
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise CaptureError(f"{path} is damaged: {first_error(error)}") from None


def process_state(process: int) -> tuple[str, int] | None:
    """A process's state letter and its start in clock ticks since boot; None where the system has neither."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a line file; a torn last line is skipped, a missing file is empty."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")  # at once: a third of the time
    except ValueError:
        rows = [_object(line, number, path) for number, line in enumerate(lines, start=1)]
    if len(rows) != len(lines) or not all(isinstance(row, dict) for row in rows):
        raise CaptureError(f"{path}: every line must be one JSON object")
    return cast(list[dict[str, Any]], rows)


def _object(line: bytes, number: int, path: Path) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise CaptureError(f"{path}: line {number} is no JSON: {error}") from None

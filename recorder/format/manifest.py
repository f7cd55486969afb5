"""Capture manifest: the files of a capture, its header, its texts, and JSON lines."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

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
MAX_LINE = 256 << 20
"""Bytes of the longest line of a line file that is read."""

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


OnError = Callable[[CaptureError], None]


def raise_error(error: CaptureError) -> None:
    """What is done with an error where nothing else is: raise it."""
    raise error


def _in_utf_8(text: str) -> str:
    """A text of names that are no UTF-8 (Python has lone surrogates for their bytes), with those escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


Name = Annotated[str, AfterValidator(_in_utf_8)]


class ImportSource(BaseModel):
    """What an imported episode was made of: its name there, a SHA-256 of its content, and the options of the import."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    sha256: str
    options: str = ""


class CaptureInfo(BaseModel):
    """Header of an episode: who played, the instruction, and how it ended (None: not known)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: str = ""
    task: Name = ""
    seed: int | None = None
    actor: str = "human"
    """human, expert (scripted), random, or agent."""
    author: Name = ""
    teacher: str = ""
    """Who labelled the steps of an agent's rollout (DAgger); empty where nobody did."""
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
    start_wall_ns: int = Field(ge=0, lt=1 << 63)
    start_t_ns: int = Field(ge=0, lt=1 << 63)
    steps: int | None = Field(default=None, ge=0)
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
        raw = _parsed(path.read_bytes())
    except FileNotFoundError:
        raise CaptureError(f"{folder} is no capture: it has no {MANIFEST}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CaptureError(f"{path} is damaged: {_first_line(error)}") from None
    if isinstance(raw, dict) and raw.get("format", FORMAT) not in (1, FORMAT):
        raise CaptureError(f"{folder}: format {raw['format']}, this version reads 1 and {FORMAT}")
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise CaptureError(f"{path} is damaged: {first_error(error)}") from None


def read_texts(folder: Path, on_error: OnError = raise_error) -> Iterator[TextSpan]:
    """The texts of a capture in the order they were written; a line that is none is passed to `on_error`."""
    path = folder / TEXT
    for number, row in iter_lines(path, on_error):
        try:
            yield TextSpan.model_validate(row)
        except ValidationError as error:
            on_error(CaptureError(f"{path}: line {number}: {first_error(error)}"))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a line file, as `iter_lines` has them; raises `CaptureError` for a line that is none."""
    return [row for _, row in iter_lines(path)]


def iter_lines(path: Path, on_error: OnError = raise_error) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a line file with the numbers of their lines, from 1 on; the file is read as a stream.

    A torn last line is skipped, a missing file is empty. A line that is no JSON object is passed to `on_error`, and
    left out where that returns.
    """
    try:
        with path.open("rb") as file:
            lines = iter(lambda: file.readline(MAX_LINE), b"")
            for number, line in enumerate(lines, start=1):
                if line.endswith(b"\n"):
                    try:
                        row = _object(line)
                    except (ValueError, RecursionError) as error:
                        on_error(CaptureError(f"{path}: line {number} {_first_line(error)}"))
                    else:
                        yield number, row
                elif len(line) == MAX_LINE:
                    raise CaptureError(f"{path}: line {number} has more than {MAX_LINE} bytes")
    except FileNotFoundError:
        return
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror}") from None


def iter_steps(path: Path, on_error: OnError = raise_error) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file with a line per step, as `iter_lines`; `i` must count the steps from 0 on."""
    expected = before = 0
    for number, row in iter_lines(path, on_error):
        expected, before = (
            expected + number - before - 1,
            number,
        )  # a line that was left out is a step too
        i = row.get("i")
        if type(i) is not int or i != expected:
            on_error(CaptureError(f"{path}: line {number} is about step {i}, not {expected}"))
        expected = i + 1 if type(i) is int else expected + 1
        yield number, row


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = _parsed(line)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError("is no JSON object")
    return row


def _parsed(content: bytes) -> Any:
    """JSON text as a value; raises `ValueError` also for NaN and infinity, and for half of a surrogate pair."""
    value = _DECODER.decode(content.decode("utf-8"))
    if b"\\u" in content:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)

"""Rows of a VPT recording: NAME.jsonl, one JSON object a client tick.

The form of OpenAI's contractor recordings of Minecraft (VPT, Baker et al. 2022, arXiv 2206.11795), which the MineRL
BASALT recordings share. Of a row only `mouse` (dx, dy, buttons) and `keyboard` must be there. A line that cannot be
read is a row without a tick: it is skipped and named, and the others are read.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from games.validation_error import first_error
from recorder.format.manifest import CaptureError
from recorder.formats.vpt.row_ticks import RowClocks

MAX_LINE_BYTES = 1 << 20
"""Longest line in bytes that is read."""
MAX_ROWS = 4_000_000
"""Most rows of one recording: 55 hours."""
MAX_UNREADABLE = 20
"""Unreadable lines of one recording that are named one by one."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Pixels = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Mouse(_Model):
    """The pointer's position in the game's window, its movement since the last tick, and the buttons held down."""

    dx: Pixels
    dy: Pixels
    buttons: tuple[int, ...]
    new_buttons: tuple[int, ...] = Field(default=(), alias="newButtons")
    x: Pixels | None = None
    y: Pixels | None = None


class Keyboard(_Model):
    """The keys held down."""

    keys: tuple[str, ...]


class Tick(_Model):
    """The used fields of one row: a twentieth of a second."""

    mouse: Mouse
    keyboard: Keyboard
    hotbar: int | None = Field(default=None, ge=0, le=8)
    """The selected slot, counted from 0."""
    menu: bool = Field(default=False, alias="isGuiOpen")
    tick: int | None = Field(default=None, ge=0, le=10**12)
    """Client tick; a part of a session may begin with any."""
    milli: float | None = Field(default=None, ge=0, le=1e15, allow_inf_nan=False)
    """Wall clock in milliseconds."""


@dataclass(frozen=True)
class Row:
    """A line of the file that is not empty."""

    line: int
    """Its number, from 1."""
    tick: Tick | None
    why: str = ""
    """The reason for which it is no tick."""
    is_torn: bool = False
    """Whether it is the last one and cut off."""
    digest: int = 0
    """A hash of its bytes, of this process."""


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file in order; raises `CaptureError` where it cannot be read or has more than `MAX_ROWS`."""
    count = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file), start=1):
                content = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                if content.strip():
                    count += 1
                    if count > MAX_ROWS:
                        raise CaptureError(f"{path} has more than {MAX_ROWS} lines: split it")
                    yield _row(number, content)
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror}") from None


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, of a longer one the first `MAX_LINE_BYTES` + 1 bytes."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        chunk = line
        while chunk and not chunk.endswith(b"\n"):
            chunk = file.readline(MAX_LINE_BYTES + 1)
        yield line


def _row(number: int, line: bytes) -> Row:
    is_whole = line.endswith(b"\n")
    if len(line) > MAX_LINE_BYTES and not is_whole:
        return Row(number, None, f"it is longer than {MAX_LINE_BYTES} bytes")
    try:
        return Row(number, Tick.model_validate_json(line), digest=hash(line.strip()))
    except ValidationError as error:
        first = first_error(error)
        is_torn = first.kind == "json_invalid" and not is_whole
        return Row(number, None, "it is torn off" if is_torn else str(first), is_torn)


@dataclass(frozen=True)
class RowScan:
    """First reading of a file: the clocks of its ticks, and what is no tick."""

    clocks: RowClocks
    unreadable: tuple[Row, ...]
    """The first `MAX_UNREADABLE` of them."""
    unreadable_count: int


def scan(path: Path) -> RowScan:
    """Read a file once for its clocks: 40 bytes a row stay in memory. Raises `CaptureError` where no row is a tick."""
    lines, positions, digests = array("q"), array("q"), array("q")
    ticks, millis = array("d"), array("d")
    unreadable: list[Row] = []
    count, is_torn = 0, False
    for position, row in enumerate(rows(path)):
        count, is_torn = position + 1, row.is_torn
        if row.tick is None:
            if len(unreadable) < MAX_UNREADABLE:
                unreadable.append(row)
            continue
        for numbers, value in ((lines, row.line), (positions, position), (digests, row.digest)):
            numbers.append(value)
        for times, clock in ((ticks, row.tick.tick), (millis, row.tick.milli)):
            times.append(float("nan") if clock is None else clock)
    clocks = RowClocks(
        lines=np.array(lines, np.int64),
        positions=np.array(positions, np.int64),
        ticks=np.array(ticks, np.float64),
        millis=np.array(millis, np.float64),
        digests=np.array(digests, np.int64),
        count=count,
        is_torn=is_torn,
    )
    return RowScan(clocks, tuple(unreadable), count - len(lines))

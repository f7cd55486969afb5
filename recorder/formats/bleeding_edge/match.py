"""Match file: the checked arrays of one `.npz`, its pictures as a stream."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games import Frame
from recorder.format.manifest import CaptureError
from recorder.formats.bleeding_edge.archive import Archive, ArrayHeader
from recorder.formats.bleeding_edge.layout import (
    BUTTONS,
    CENTRES,
    COLUMNS,
    EDGES,
    HEIGHT,
    MAX_INSTRUCTION,
    MAX_STEPS,
    STATES,
    WIDTH,
)
from recorder.formats.bleeding_edge.sticks import buckets

_NAME = re.compile(r"(?P<match>.*?)[/_](?:step)?(?P<step>\d{1,12})[/_](?:tick)?(?P<tick>\d{1,15})")
_SHAPES = {(HEIGHT, WIDTH, 3), (3, HEIGHT, WIDTH)}


@dataclass(frozen=True)
class Match:
    """One file's steps."""

    pressed: NDArray[np.bool_]
    """(T, 12)"""
    cells: NDArray[np.int64]
    """Buckets of left x, left y, right x, right y (T, 4)."""
    axes: str
    """What the file has for the sticks: "bucket indices" or "axis values"."""
    states: NDArray[np.float32] | None
    """(T, 56)"""
    name: str
    """The match's name; empty where the file has none."""
    instruction: str
    """What the player was to do; empty where the file does not say it."""
    gaps: dict[int, int]
    """Steps that are missing before a step."""
    _archive: Archive
    _images: ArrayHeader

    def __len__(self) -> int:
        return len(self.pressed)

    def frames(self) -> Iterator[Frame]:
        """The pictures in order, each (180, 300, 3)."""
        shape = self._images.shape[1:]
        for values in self._archive.chunks("images", self._images, len(self), HEIGHT * WIDTH * 3):
            picture = values.reshape(shape)
            yield np.ascontiguousarray(picture.transpose(1, 2, 0) if shape[0] == 3 else picture)


def read_match(archive: Archive) -> Match:
    """Check and read all arrays but the pictures; raises `CaptureError` with what is wrong, in one line."""
    images = archive.header("images", "u", max_item=1)
    steps = len(_require(images, "images", 4)) and images.shape[0]
    if images.shape[1:] not in _SHAPES:
        raise CaptureError(
            f"images have the shape {images.shape[1:]}, not (180, 300, 3) or (3, 180, 300)"
        )
    if not 0 < steps <= MAX_STEPS:
        raise CaptureError(f"it has {steps:,} steps; a file has 1 to {MAX_STEPS:,}")
    actions = _numbers(archive, "actions", steps, COLUMNS)
    axes, cells = _cells(actions[:, len(BUTTONS) :])
    states = _numbers(archive, "states", steps, STATES) if "states" in archive else None
    name, gaps = _named(archive, steps) if "names" in archive else ("", {})
    pressed = _pressed(actions[:, : len(BUTTONS)])
    instruction = _instruction(archive) if "instruction" in archive else ""
    return Match(pressed, cells, axes, states, name, instruction, gaps, archive, images)


def _require(header: ArrayHeader, name: str, axes: int) -> tuple[int, ...]:
    if len(header.shape) != axes:
        raise CaptureError(f"{name} has the shape {header.shape}, not {axes} axes")
    return header.shape


def _numbers(archive: Archive, name: str, steps: int, width: int) -> NDArray[Any]:
    header = archive.header(name, "fiu")
    if header.shape != (steps, width):
        raise CaptureError(
            f"{name} has the shape {header.shape}, not ({steps}, {width}) as for {steps} images"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
        values = archive.read(name, header).astype(np.float32)
    if not (finite := np.isfinite(values).all(1)).all():
        raise CaptureError(f"{name} of step {int(np.argmin(finite))} is not finite")
    return values


def _pressed(buttons: NDArray[Any]) -> NDArray[np.bool_]:
    legal = np.isin(buttons, (0, 1)).all(1)
    if not legal.all():
        raise CaptureError(f"a button of step {int(np.argmin(legal))} is neither 0 nor 1")
    return buttons.astype(bool)


def _cells(axes: NDArray[np.float32]) -> tuple[str, NDArray[np.int64]]:
    """What the axes are, and their buckets.

    Indices are whole numbers of which one is above 1. A file with nothing but 0 and 1 has values: 5 is at rest among
    indices, and no stick stays in its lower left corner for a whole match.
    """
    whole = bool((axes == np.round(axes)).all())
    if whole and axes.min() >= 0 and 1 < axes.max() <= len(CENTRES) - 1:
        return "bucket indices", axes.astype(np.int64)
    if EDGES[0] <= axes.min() and axes.max() <= EDGES[-1]:
        return "axis values", buckets(axes)
    raise CaptureError(
        f"its sticks run from {axes.min():g} to {axes.max():g}: neither bucket indices (0 to 10) nor values (-1 to 1)"
    )


def _named(archive: Archive, steps: int) -> tuple[str, dict[int, int]]:
    """The match's name and the gaps: `names` has a text "match/step/tick" for each step."""
    header = archive.header("names", "US", max_item=1024)
    if header.shape != (steps,):
        raise CaptureError(f"names has the shape {header.shape}, not ({steps},)")
    raw = archive.read("names", header)
    try:
        texts = np.char.decode(raw, "utf-8") if header.dtype.kind == "S" else raw
        matches = [_NAME.fullmatch(str(text)) for text in texts]
    except (UnicodeDecodeError, ValueError):
        raise CaptureError("names holds what is no text") from None
    if None in matches:
        step = matches.index(None)
        raise CaptureError(
            f"the name of step {step}, {str(texts[step])!r:.60}, is no match/step/tick"
        )
    parsed = [m for m in matches if m]
    if len(of := {m["match"] for m in parsed}) > 1:
        raise CaptureError(f"its names are of {len(of)} matches")
    return parsed[0]["match"], _gaps([int(m["tick"]) for m in parsed])


def _instruction(archive: Archive) -> str:
    """One text for the whole match, which our export adds to the format."""
    header = archive.header("instruction", "U", max_item=4 * MAX_INSTRUCTION)
    if header.shape != ():
        raise CaptureError(f"instruction has the shape {header.shape}, not one text")
    return str(archive.read("instruction", header)[()])


def _gaps(ticks: list[int]) -> dict[int, int]:
    """Missing steps before a step; the commonest distance of two ticks is a step."""
    distances = [after - before for before, after in pairwise(ticks)]
    if not distances:
        return {}
    if min(distances) <= 0:
        raise CaptureError(f"its ticks do not ascend at step {int(np.argmin(distances)) + 1}")
    common = Counter(distances).most_common(1)[0][0]
    steps = [round(distance / common) for distance in distances]
    return {i: count - 1 for i, count in enumerate(steps, start=1) if count > 1}

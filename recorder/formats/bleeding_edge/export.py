"""Bleeding Edge export: episodes of games with two sticks as `.npz` files, one each.

Sticks are written as bucket indices, as the published files have them. What the format has no place for stays in the
captures: later texts, rewards, who acted, what the game did where that differs from what was wanted. The instruction is
an array of ours: without it nobody could say what the player was to do.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from games.resize import resize_frame
from recorder.episodes.episode import Episode, EpisodeSet
from recorder.format.atomic import replaced_file
from recorder.format.manifest import (
    EVENTS,
    MANIFEST,
    CaptureError,
    Skipped,
    disk_errors,
    iter_lines,
)
from recorder.formats.bleeding_edge.columns import Columns
from recorder.formats.bleeding_edge.importer import SUFFIX
from recorder.formats.bleeding_edge.layout import (
    HEIGHT,
    MAX_INSTRUCTION,
    MAX_STEPS,
    PADDING,
    STATE_EVENT,
    STATES,
    STEP_HZ,
    WIDTH,
)
from recorder.formats.export_report import ExportReport
from recorder.open import capture_folders

logger = logging.getLogger("iafm.export")


def export_bleeding_edge(
    episodes: EpisodeSet,
    out: Path,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write each episode that `out` does not hold yet as `<id>.npz` there.

    An episode that cannot be read, or whose game the format has no columns for, is skipped and named; with `strict` it
    raises `CaptureError`, as does an `out` that holds captures. Raises `DiskFullError` where the disk is full.
    """
    if out.exists() and (not out.is_dir() or (out / MANIFEST).exists() or capture_folders(out)):
        raise CaptureError(f"{out} holds something else; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    added, rounded, skipped = 0, 0, []
    for done, episode in enumerate(episodes, start=1):
        target = out / (episode.id + SUFFIX)
        try:
            if not target.exists():
                rounded += _write(episode, target)
                added += 1
        except CaptureError as error:
            if strict:
                raise CaptureError(f"{episode.id}: {error}") from None
            logger.warning("skipped %s: %s", episode.id, error)
            skipped.append(Skipped(episode.id, str(error)))
        if progress:
            progress(done, len(episodes))
    if rounded:
        logger.warning(
            "the sticks of %d steps lie between the format's buckets, and were rounded", rounded
        )
    return ExportReport(added, tuple(skipped), rounded)


def _write(episode: Episode, target: Path) -> int:
    """Write one file; returns the number of steps with a rounded stick."""
    spec, count = episode.spec, len(episode)
    columns = Columns.of(spec)
    columns.require_all(spec)
    if spec.step_hz != STEP_HZ:
        raise CaptureError(
            f"{spec.id} has {spec.step_hz:g} steps/s, Bleeding Edge's files {STEP_HZ:g}"
        )
    if count > MAX_STEPS:
        raise CaptureError(f"it has {count:,} steps, a file at most {MAX_STEPS:,}")
    arrays = {
        "actions": np.stack([columns.row(action) for action in episode.actions]),
        "states": _states(episode),
        "names": np.array([f"{episode.id}/{i}/{tick}" for i, tick in enumerate(_ticks(episode))]),
    }
    if instruction := episode.header.instruction[:MAX_INSTRUCTION]:
        arrays["instruction"] = np.array(instruction)
    with disk_errors(target.parent), replaced_file(target) as draft, _zip(draft) as file:
        for name, values in arrays.items():
            _add(file, name, values.dtype, values.shape, iter([values]))
        shape = (count, HEIGHT, WIDTH, 3)
        _add(file, "images", np.dtype(np.uint8), shape, _pictures(episode))
    return sum(not columns.is_exact(action) for action in episode.actions)


def _zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)


def _add(
    file: zipfile.ZipFile,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    parts: Iterator[NDArray[Any]],
) -> None:
    """Add an array that comes in parts."""
    with file.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(member, header)
        for part in parts:
            member.write(np.ascontiguousarray(part).tobytes())


def _pictures(episode: Episode) -> Iterator[NDArray[np.uint8]]:
    for chunk in episode.video.chunks(len(episode), size=8):
        for frame in chunk:
            yield resize_frame(frame, HEIGHT, WIDTH)


def _ticks(episode: Episode) -> Iterator[int]:
    tick = -1
    for i in range(len(episode)):
        tick += 1 + episode.dropped_before.get(i, 0)
        yield tick


def _states(episode: Episode) -> NDArray[np.float32]:
    """The states that an import kept, all padding where there are none."""
    states = np.full((len(episode), STATES), PADDING, np.float32)
    for _, row in iter_lines(episode.folder / EVENTS):
        i, values = row.get("i"), row.get("values")
        if row.get("kind") != STATE_EVENT or type(i) is not int or not 0 <= i < len(states):
            continue
        if isinstance(values, list) and len(values) <= STATES:
            try:
                states[i, : len(values)] = values
            except (TypeError, ValueError):
                raise CaptureError(f"the states of step {i} are no numbers") from None
    return states

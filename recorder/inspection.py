"""Inspection of a folder: every capture in it, also damaged and open ones, with its problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from recorder.capture.recover import is_being_written
from recorder.capture.spool import SPOOL, Spool
from recorder.episodes.episode import Episode
from recorder.episodes.validate import examine
from recorder.format.manifest import ACTIONS, FRAMES, MANIFEST, VIDEO, CaptureError, iter_lines
from recorder.formats.lerobot.reader import is_dataset, open_dataset
from recorder.open import capture_folders

NO_STEP = "it has no step and can be deleted"


@dataclass(frozen=True)
class Inspected:
    """One capture, or one episode of a dataset."""

    name: str
    problems: tuple[str, ...] = ()
    """A line each."""
    steps: int = 0
    dropped: int = 0
    """Steps of the game that were dropped while it was recorded."""
    is_being_written: bool = False
    """Then nothing of it was checked."""


def inspect_captures(
    root: Path,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Inspected]:
    """Read everything under `root` from end to end: a capture, a folder of captures, or a dataset.

    `progress(done, total)` is called per capture. Raises `CaptureError` where there is none, for a dataset that cannot
    be opened, and with `strict` at the first problem.
    """
    captures: Sequence[Path | Episode]
    inspected = []
    if is_dataset(root):
        dataset = open_dataset(root)
        captures = dataset
        inspected = [Inspected(each.source, (each.why,)) for each in dataset.skipped]
    elif (root / MANIFEST).exists():
        captures = [root]
    else:
        captures = sorted({*capture_folders(root), *_without_manifest(root)})
    if not captures and not inspected:
        raise CaptureError(f"no episodes in {root}; record some with `iafm record`")
    for done, capture in enumerate(captures, start=1):
        inspected.append(_inspect(capture))
        if strict and (bad := next((each for each in inspected if each.problems), None)):
            raise CaptureError(f"{bad.name}: {bad.problems[0]}")
        if progress:
            progress(done, len(captures))
    return inspected


def _without_manifest(root: Path) -> list[Path]:
    """Folders that hold files of a capture but no manifest."""
    names = (ACTIONS, FRAMES, VIDEO)
    return [p.parent for name in names for p in root.glob(f"*/{Path(name).parts[0]}")]


def _inspect(capture: Path | Episode) -> Inspected:
    if isinstance(capture, Episode):
        episode = capture
    else:
        try:
            episode = Episode.open(capture)
        except CaptureError as error:
            return Inspected(capture.name, (str(error),))
    if episode.manifest.status == "recording":
        return _inspect_open(episode)
    if not len(episode):
        return Inspected(episode.id, (NO_STEP,))
    validation = examine(episode)
    return Inspected(episode.id, validation.problems, len(episode), validation.dropped)


def _inspect_open(capture: Episode) -> Inspected:
    """A capture that is not closed: by a writer that still writes, or one that died."""
    name, manifest = capture.folder.name, capture.manifest
    if is_being_written(manifest):
        return Inspected(name, is_being_written=True)
    steps = _steps_left(capture)
    if not steps:
        return Inspected(name, (f"left open before its first picture: {NO_STEP}",))
    return Inspected(name, ("left open: run `iafm episodes recover`",), steps)


def _steps_left(capture: Episode) -> int:
    """Steps in the files of a capture that was left open, or in the spool that they are completed from."""
    steps = min(_lines(capture.folder / name) for name in (ACTIONS, FRAMES))
    if (capture.folder / SPOOL).exists():
        with suppress(CaptureError):
            spool = Spool.open(capture.folder, capture.spec.frame.shape)
            spool.close()
            steps = max(steps, spool.counted)
    return steps


def _lines(path: Path) -> int:
    """Number of complete lines of a file that are JSON objects."""
    return sum(1 for _ in iter_lines(path, lambda _: None))

"""Brawl import: replay files of the embedded arena as captures, with pictures that are drawn again.

A step is a picture of the player's and what the player did at it; the picture after the last step is no step.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from games import GameSpec
from games.brawl.replay import Replay, ReplayError, read_replay
from games.brawl.spec import SPEC as BRAWL
from recorder.capture.writer import DISK_NEEDED
from recorder.format.manifest import CaptureError, CaptureInfo, ImportSource
from recorder.formats.bleeding_edge.importer import match_files
from recorder.formats.import_job import ImportJob, ImportReport, content_hash


def import_brawl(
    path: Path,
    out: Path,
    spec: GameSpec = BRAWL,
    *,
    strict: bool = False,
    disk_needed: int = DISK_NEEDED,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write the episode of each replay in the folder `path`, or of that one file, as a capture.

    A file that is damaged, or no replay, is skipped and named; with `strict` it raises `CaptureError`. That is also
    raised where there is no `.npz` file, and for another game. Files of one match share their seed, so that they are
    in one split.
    """
    files = match_files(path)
    if not files:
        raise CaptureError(f"{path} has no .npz file")
    if spec != BRAWL:
        raise CaptureError(f"{path} holds replays of {BRAWL.id}, not of {spec.id}")
    job = ImportJob(out, strict=strict, disk_needed=disk_needed)
    for done, file in enumerate(files, start=1):
        with job.reading(file.name):
            _add(job, file)
        if progress:
            progress(done, len(files))
    return job.report()


def _add(job: ImportJob, file: Path) -> None:
    try:
        _write(job, file, read_replay(file))
    except ReplayError as error:
        raise CaptureError(str(error)) from None


def _write(job: ImportJob, file: Path, replay: Replay) -> None:
    header = replay.header
    digest = content_hash(header.model_dump_json(), replay.commands.tobytes())
    source = ImportSource(name=file.name, sha256=digest)
    if job.holds(source):
        return
    info = CaptureInfo(
        instruction=header.instruction, task=header.task, seed=header.seed, actor=header.actor,
        author=file.stem,
    )  # fmt: skip
    with job.capture(BRAWL, info, source) as capture:
        actions = list(replay.actions())
        for step, frame in enumerate(replay.frames()):
            if step < len(actions):
                capture.step(frame, actions[step])

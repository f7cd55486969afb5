"""Captioned clips: import of videos with a sentence or a label each, listed in a folder's `captions.jsonl`.

Each line is one clip: {"video": "a.mp4", "question": "what is the patient doing?", "text": "the patient sits up"}. The
question becomes the instruction; the text, a caption or a label, is the target of training for the clip's frames.
`begin_s` and `end_s` cut a clip out of a longer video. Clips of one video share its seed, so that they are in one
split.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from games import Frame, GameSpec
from games.resize import resize_frame
from games.validation_error import first_error
from recorder.capture.writer import DISK_NEEDED
from recorder.format.manifest import CaptureError, CaptureInfo, ImportSource
from recorder.format.video import reading
from recorder.format.video_index import MAX_SIDE
from recorder.formats.import_job import ImportJob, ImportReport, content_hash, file_hash

CAPTIONS = "captions.jsonl"
MAX_CLIP_S = 600.0
SLACK_S = 1e-4
"""Two times that differ by less are the same: containers round them."""


class Caption(BaseModel):
    """One line of `captions.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    video: str = Field(min_length=1)
    question: str = ""
    text: str = Field(min_length=1, max_length=2000)
    begin_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    end_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @property
    def source(self) -> str:
        """The video, and the part of it as media fragments are written: `a.mp4#t=1,2.5`."""
        if not self.begin_s and self.end_s is None:
            return self.video
        end = "" if self.end_s is None else f",{self.end_s:g}"
        return f"{self.video}#t={self.begin_s:g}{end}"


def import_captions(
    folder: Path,
    out: Path,
    spec: GameSpec,
    *,
    strict: bool = False,
    disk_needed: int = DISK_NEEDED,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write every clip as a capture of `spec` (a game without controls) under `out`.

    Frames are taken `step_hz` times a second and resized to the spec's size. Clips that `out` already holds are not
    written again; those that cannot be read are skipped, or with `strict` raise `CaptureError`, as does a folder
    without `captions.jsonl`.
    """
    job = ImportJob(out, strict=strict, disk_needed=disk_needed)
    lines = _lines(folder)
    for done, (number, line) in enumerate(lines, start=1):
        with job.reading(f"{CAPTIONS}, line {number}"):
            _import_clip(job, folder, _parse(folder, line), spec)
        if progress:
            progress(done, len(lines))
    return job.report()


def _import_clip(job: ImportJob, folder: Path, clip: Caption, spec: GameSpec) -> None:
    video = folder / clip.video
    video_hash = file_hash(video)
    part = f"{clip.begin_s!r} {clip.end_s!r}"
    source = ImportSource(
        name=clip.source,
        sha256=content_hash(video_hash, part, clip.question, clip.text),
        options=spec.id,
    )
    if job.holds(source):
        return
    info = CaptureInfo(
        instruction=clip.question,
        task="caption",
        seed=int(video_hash[:8], 16),
        author=clip.source,
        success=True,
    )
    with job.capture(spec, info, source) as capture:
        capture.text(style="caption", text=clip.text, source="import")
        for frame in clip_frames(video, spec, clip.begin_s, clip.end_s):
            capture.step(frame, {})
        if not capture.steps:
            raise CaptureError(f"{video} has no frames from second {clip.begin_s:g} on")


def _lines(folder: Path) -> list[tuple[int, str]]:
    """The lines of the list with their numbers, without empty ones."""
    path = folder / CAPTIONS
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a byte order mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"{path} cannot be read: {error}") from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise CaptureError(f"{path} has no line in it")
    return lines


def clip_frames(
    path: Path, spec: GameSpec, begin_s: float = 0.0, end_s: float | None = None
) -> Iterator[Frame]:
    """Frames of a video at the spec's rate and size, of at most `MAX_CLIP_S` seconds.

    Each is the picture that is shown at its time: the last that is not later. Time is counted from the first picture.
    """
    end_s = min(end_s or begin_s + MAX_CLIP_S, begin_s + MAX_CLIP_S)
    count, shown = 0, None
    with reading(path) as container:
        for begins, decoded in _pictures(container, path):
            while shown is not None and (now := begin_s + count / spec.step_hz) < begins - SLACK_S:
                if now > end_s + SLACK_S:
                    return
                yield resize_frame(
                    shown.to_ndarray(format="rgb24"), spec.frame.height, spec.frame.width
                )
                count += 1
            shown = decoded


def _pictures(container: Any, path: Path) -> Iterator[tuple[float, Any]]:
    """Every picture with the second it appears at, the first at 0; after the last, the video's end with none."""
    stream = container.streams.video[0]
    if max(stream.height, stream.width) > MAX_SIDE:
        raise CaptureError(
            f"{path}: frames of {stream.height} x {stream.width}, larger than {MAX_SIDE}"
        )
    seconds = float(stream.time_base or 1)
    first, ends = None, 0.0
    for decoded in container.decode(stream):
        if decoded.pts is None:
            raise CaptureError(f"{path} has a picture without a time")
        first = decoded.pts if first is None else first
        begins = (decoded.pts - first) * seconds
        yield begins, decoded
        lasts = (
            decoded.duration * seconds if decoded.duration else 1 / float(stream.average_rate or 1)
        )
        ends = begins + lasts
    yield ends, None


def _parse(folder: Path, line: str) -> Caption:
    try:
        clip = Caption.model_validate(json.loads(line))
    except json.JSONDecodeError as error:
        raise CaptureError(f"it is no JSON: {error}") from None
    except ValidationError as error:
        raise CaptureError(str(first_error(error))) from None
    path = (folder / clip.video).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise CaptureError(f"{clip.video!r} lies outside the folder")
    if not path.is_file():
        raise CaptureError(f"no video {path}")
    return clip

"""How do video clips with a sentence or a label about them become captures? From a folder and its `captions.jsonl`.

Each line is one clip: {"video": "a.mp4", "question": "what is the patient doing?", "text": "the patient sits up"}. The
question becomes the instruction; the text, a caption or a label, is what a model learns to say about the clip's frames.
`begin_s` and `end_s` cut a clip out of a longer video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from games import Frame, GameSpec
from recorder.capture import CaptureWriter
from recorder.layout import CaptureError, CaptureInfo, read_lines
from recorder.video import reading

CAPTIONS = "captions.jsonl"
LONGEST_S = 600.0


class Caption(BaseModel):
    """One line of `captions.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    video: str = Field(min_length=1)
    question: str = ""
    text: str = Field(min_length=1, max_length=2000)
    begin_s: float = Field(default=0.0, ge=0)
    end_s: float | None = Field(default=None, gt=0)


def import_captions(
    folder: Path,
    out: Path,
    spec: GameSpec,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write every clip as a capture of `spec` (a game without controls) under `out`; returns how many.

    Frames are taken `step_hz` times a second and stretched to the spec's size. Raises `CaptureError` in one line for a
    missing video, one outside the folder, or a line that does not fit.
    """
    clips = [
        _parse(folder, number, row) for number, row in enumerate(read_lines(folder / CAPTIONS), 1)
    ]
    if not clips:
        raise CaptureError(f"{folder} has no {CAPTIONS} with a line in it")
    for done, (path, clip) in enumerate(clips, start=1):
        about = CaptureInfo(instruction=clip.question, task="caption", seed=done - 1, success=True)
        with CaptureWriter.create(out, spec, about) as capture:
            capture.text(style="caption", text=clip.text, source="import")
            for frame in clip_frames(path, spec, clip.begin_s, clip.end_s):
                capture.step(frame, {})
            if not capture.steps:
                raise CaptureError(f"{path} has no frames from second {clip.begin_s:g} on")
            capture.close(success=True)
        if progress:
            progress(done, len(clips))
    return len(clips)


def clip_frames(
    path: Path, spec: GameSpec, begin_s: float = 0.0, end_s: float | None = None
) -> Iterator[Frame]:
    """Frames of a video at the spec's rate and size, of at most `LONGEST_S` seconds."""
    end_s = min(end_s or begin_s + LONGEST_S, begin_s + LONGEST_S)
    size = (spec.frame.width, spec.frame.height)
    following = begin_s
    with reading(path) as container:
        stream = container.streams.video[0]
        for picture in container.decode(stream):
            now = float(picture.pts or 0) * float(stream.time_base or 1)
            if now > end_s:
                return
            if now + 1e-6 >= following:
                following += 1 / spec.step_hz
                rgb = picture.to_ndarray(format="rgb24")
                yield np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _parse(folder: Path, number: int, row: dict[str, object]) -> tuple[Path, Caption]:
    where = f"{folder / CAPTIONS}, line {number}"
    try:
        clip = Caption.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise CaptureError(f"{where}: {first['msg']} at {place}") from None
    path = (folder / clip.video).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise CaptureError(f"{where}: {clip.video!r} lies outside the folder")
    if not path.is_file():
        raise CaptureError(f"{where}: no video {path}")
    return path, clip

"""Captioned clips: import of videos with a sentence or a label each, listed in a folder's `captions.jsonl`.

Each line is one clip: {"video": "a.mp4", "question": "what is the patient doing?", "text": "the patient sits up"}. The
question becomes the instruction; the text, a caption or a label, is the target of training for the clip's frames.
`begin_s` and `end_s` cut a clip out of a longer video. Clips of one video share its seed, so that they are in one
split.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from games import Frame, GameSpec
from games.resize import resize_frame
from games.validation_error import first_error
from recorder.capture.writer import DISK_NEEDED, CaptureWriter
from recorder.format.manifest import CaptureError, CaptureInfo
from recorder.format.video import reading
from recorder.open import closed_captures

CAPTIONS = "captions.jsonl"
MAX_CLIP_S = 600.0


class Caption(BaseModel):
    """One line of `captions.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    video: str = Field(min_length=1)
    question: str = ""
    text: str = Field(min_length=1, max_length=2000)
    begin_s: float = Field(default=0.0, ge=0)
    end_s: float | None = Field(default=None, gt=0)

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
    disk_needed: int = DISK_NEEDED,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write every clip as a capture of `spec` (a game without controls) under `out`; returns how many are new.

    Frames are taken `step_hz` times a second and resized to the spec's size. Clips that `out` already holds are
    skipped. Raises `CaptureError` in one line for a missing video, one outside the folder, or a line that does not
    fit; all lines are read before anything is written, and each clip before anything of it is.
    """
    clips = _clips(folder)
    imported = {
        (e.header.author, e.header.instruction, text)
        for e in closed_captures(out)
        for text in set(e.captions)
    }
    new = [clip for clip in clips if (clip.source, clip.question, clip.text) not in imported]
    for done, clip in enumerate(new, start=1):
        frames = list(clip_frames(folder / clip.video, spec, clip.begin_s, clip.end_s))
        if not frames:
            raise CaptureError(
                f"{folder / clip.video} has no frames from second {clip.begin_s:g} on"
            )
        info = CaptureInfo(
            instruction=clip.question,
            task="caption",
            seed=zlib.crc32(clip.video.encode()),
            author=clip.source,
            success=True,
        )
        with CaptureWriter.create(out, spec, info, disk_needed=disk_needed) as capture:
            capture.text(style="caption", text=clip.text, source="import")
            for frame in frames:
                capture.step(frame, {})
            capture.close(success=True)
        if progress:
            progress(done, len(new))
    return len(new)


def _clips(folder: Path) -> list[Caption]:
    path = folder / CAPTIONS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()  # the last may end without a newline
    except (OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"{path} cannot be read: {error}") from None
    clips = [_parse(folder, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not clips:
        raise CaptureError(f"{path} has no line in it")
    return clips


def clip_frames(
    path: Path, spec: GameSpec, begin_s: float = 0.0, end_s: float | None = None
) -> Iterator[Frame]:
    """Frames of a video at the spec's rate and size, of at most `MAX_CLIP_S` seconds."""
    end_s = min(end_s or begin_s + MAX_CLIP_S, begin_s + MAX_CLIP_S)
    following = begin_s
    with reading(path) as container:
        stream = container.streams.video[0]
        begin = stream.start_time or 0
        for decoded in container.decode(stream):
            now = ((decoded.pts or 0) - begin) * float(stream.time_base or 1) + 1e-6
            if now > end_s + 2e-6:
                return
            if now >= following:
                following = begin_s + ((now - begin_s) * spec.step_hz // 1 + 1) / spec.step_hz
                rgb = decoded.to_ndarray(format="rgb24")
                yield resize_frame(rgb, spec.frame.height, spec.frame.width)


def _parse(folder: Path, number: int, line: str) -> Caption:
    line_name = f"{folder / CAPTIONS}, line {number}"
    try:
        clip = Caption.model_validate(json.loads(line))
    except json.JSONDecodeError as error:
        raise CaptureError(f"{line_name} is no JSON: {error}") from None
    except ValidationError as error:
        raise CaptureError(f"{line_name}: {first_error(error)}") from None
    path = (folder / clip.video).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise CaptureError(f"{line_name}: {clip.video!r} lies outside the folder")
    if not path.is_file():
        raise CaptureError(f"{line_name}: no video {path}")
    return clip

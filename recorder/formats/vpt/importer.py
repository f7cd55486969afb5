"""VPT import: contractors' recordings of Minecraft, a folder of NAME.mp4 and NAME.jsonl, as captures.

Frame i belongs to line i. Frames are resized to the game's size and encoded again; where a menu is open, the pointer is
drawn into them. Both files are read as a stream, so that a recording may be of any length.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from games import Action, Camera, Frame, GameSpec
from games.resize import resize_frame
from recorder.capture.staging import delete_abandoned, staged
from recorder.capture.writer import DISK_NEEDED
from recorder.format.manifest import CaptureError, CaptureInfo
from recorder.formats.vpt.cursor import with_cursor
from recorder.formats.vpt.reader import (
    BUTTONS,
    KEYS,
    Mouse,
    Recording,
    UnreadableError,
    actions,
    frames,
    recordings,
    ticks,
)
from recorder.open import closed_captures

WINDOW = (720, 1280)
"""Height and width in pixels of the window that the pointer's positions refer to."""


@dataclass(frozen=True)
class ImportedPlay:
    """Result of an import."""

    recordings: int
    """Number of new ones."""
    dropped: int = 0
    """Ticks with only a frame or only a line, which are skipped."""
    clipped: float = 0.0
    """Share of ticks whose turn lay beyond the camera's range (clipped to it)."""
    refused: tuple[str, ...] = ()
    """The reason for each recording that was not read, a line each."""


@dataclass(frozen=True)
class _Written:
    steps: int
    dropped: int
    clipped: int


def import_vpt(
    folder: Path,
    out: Path,
    spec: GameSpec,
    *,
    disk_needed: int = DISK_NEEDED,
    progress: Callable[[int, int], None] | None = None,
) -> ImportedPlay:
    """Write each recording in `folder` as a capture of `spec` (the game `minecraft`, or one with its controls).

    Recordings that `out` already holds, by name, are skipped. Broken ones are listed in the result and do not stop the
    others. Parts of one session share their seed, so that they are in one split. Raises `CaptureError`
    in one line where nothing can be read, the game does not fit or the disk is nearly full.
    """
    camera = _camera(folder, spec)
    delete_abandoned(out)
    imported = {episode.header.author for episode in closed_captures(out)}
    new = [recording for recording in recordings(folder) if recording.name not in imported]
    written: list[_Written] = []
    refused: list[str] = []
    for done, recording in enumerate(new, start=1):
        try:
            written.append(_write(recording, out, spec, camera, disk_needed))
        except UnreadableError as error:
            refused.append(str(error))
        if progress:
            progress(done, len(new))
    if refused and not imported and not written:
        raise CaptureError(f"none of {len(refused)} recordings can be read; {refused[0]}")
    return _sum(written, refused)


def _camera(folder: Path, spec: GameSpec) -> Camera:
    """The game's camera, where folder and game fit each other."""
    if not any(r.video.is_file() and r.lines.is_file() for r in recordings(folder)):
        raise CaptureError(f"{folder} has no NAME.mp4 with a NAME.jsonl of the same name beside it")
    camera = spec.by_name.get("camera")
    if not {*KEYS.values(), *BUTTONS} <= set(spec.by_name) or not isinstance(camera, Camera):
        raise CaptureError(f"{folder} holds play of minecraft, which {spec.id} lacks controls for")
    return camera


def _write(
    recording: Recording, out: Path, spec: GameSpec, camera: Camera, disk_needed: int
) -> _Written:
    """Write one recording; all its lines are read once before anything is written."""
    lines = _count(recording)
    info = CaptureInfo(
        task=spec.name, seed=zlib.crc32(recording.session.encode()), author=recording.name
    )
    video, clipped = frames(recording.video), 0
    with staged(out, spec, info, disk_needed=disk_needed) as capture:
        for (tick, action), frame in zip(actions(ticks(recording.lines)), video, strict=False):
            capture.step(_frame(frame, spec, tick.mouse if tick.menu else None), action)
            clipped += _beyond(action, camera)
            if capture.dropped:
                raise CaptureError(f"{out}: the disk is nearly full, make room and import again")
        if not capture.steps:
            raise UnreadableError(f"{recording.video} has no frame that can be decoded")
        dropped = lines - capture.steps + sum(1 for _ in video)
    return _Written(capture.steps, dropped, clipped)


def _count(recording: Recording) -> int:
    """The number of ticks of a recording that has both its files."""
    for path in (recording.lines, recording.video):
        if not path.is_file():
            raise UnreadableError(f"{recording.name}: no {path} beside the other file")
    if not (lines := sum(1 for _ in ticks(recording.lines))):
        raise UnreadableError(f"{recording.lines} has no line in it")
    return lines


def _frame(source: Frame, spec: GameSpec, pointer: Mouse | None) -> Frame:
    """A frame in the game's size, with the pointer where there is one."""
    frame = resize_frame(source, spec.frame.height, spec.frame.width)
    if pointer is None:
        return frame
    x, y = pointer.x * spec.frame.width / WINDOW[1], pointer.y * spec.frame.height / WINDOW[0]
    return with_cursor(frame, x, y)


def _beyond(action: Action, camera: Camera) -> bool:
    """Whether a turn lies beyond the camera's bins."""
    ranges = zip(action["camera"], (camera.pitch_bins, camera.yaw_bins), strict=True)
    return any(not bins[0] <= turned <= bins[-1] for turned, bins in ranges)


def _sum(written: list[_Written], refused: list[str]) -> ImportedPlay:
    steps = sum(w.steps for w in written)
    return ImportedPlay(
        recordings=len(written),
        dropped=sum(w.dropped for w in written),
        clipped=round(sum(w.clipped for w in written) / max(steps, 1), 4),
        refused=tuple(refused),
    )

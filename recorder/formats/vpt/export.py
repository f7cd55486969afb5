"""VPT export: episodes of Minecraft, or of a game with its controls, as NAME.mp4 beside NAME.jsonl.

There is a row and a picture for each step, both at its tick; a step that was dropped is a tick without either.
Compressed frames are copied, not encoded again. What the rows lack of an episode's header is in NAME-iafm.json. Frames
and rows are in memory one at a time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from copy import copy
from fractions import Fraction
from pathlib import Path

from recorder.capture.disk_guard import require_room
from recorder.capture.writer import DISK_PAUSE
from recorder.episodes.episode import Episode, EpisodeSet
from recorder.episodes.readable import pictures_size
from recorder.format.atomic import replaced_file, write_atomic
from recorder.format.manifest import MANIFEST, CaptureError, DiskFullError, Skipped, disk_errors
from recorder.format.packets import check_packets, episode_packets
from recorder.format.video import VideoSlice, reading, writing
from recorder.formats.export_report import ExportReport
from recorder.formats.vpt.folder import basalt_folder
from recorder.formats.vpt.game_state import states
from recorder.formats.vpt.header import Header, header_path
from recorder.formats.vpt.index import LINES, VIDEO
from recorder.formats.vpt.reader import MAX_ROWS
from recorder.formats.vpt.row_writer import MinecraftControls, RowWriter
from recorder.open import capture_folders

logger = logging.getLogger("iafm.export")

ROW_BYTES = 2048
"""Upper bound of a row, to ask for room."""
RATE = 20


def export_vpt(
    episodes: EpisodeSet,
    out: Path,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write each episode that `out` does not hold yet as `<id>.mp4` and `<id>.jsonl` there.

    Those of BASALT's tasks are written in the folder that BASALT has for them. An episode that cannot be read, or whose
    game has other controls or another rate than Minecraft, is skipped and named; with `strict` it raises
    `CaptureError`, as does an `out` that holds captures. Raises `DiskFullError` where the disk is full.
    """
    if out.exists() and (not out.is_dir() or (out / MANIFEST).exists() or capture_folders(out)):
        raise CaptureError(f"{out} holds something else; choose another folder")
    added, skipped = 0, []
    for done, each in enumerate(episodes, start=1):
        episode = copy(each)  # what it caches goes with it
        try:
            added += _add(episode, out)
        except DiskFullError:
            raise
        except CaptureError as error:
            if strict:
                raise CaptureError(f"{episode.id}: {error}") from None
            logger.warning("skipped %s: %s", episode.id, error)
            skipped.append(Skipped(episode.id, str(error)))
        if progress:
            progress(done, len(episodes))
    return ExportReport(added, tuple(skipped))


def _add(episode: Episode, out: Path) -> bool:
    """Write an episode's files, the rows last; False where they are there."""
    folder = out / basalt_folder(episode.header.task)
    lines, video = folder / (episode.id + LINES), folder / (episode.id + VIDEO)
    if lines.exists() and video.exists():
        return False
    controls = MinecraftControls(episode.spec)
    if len(episode) > MAX_ROWS:
        raise CaptureError(f"it has {len(episode):,} steps, a recording at most {MAX_ROWS:,}")
    check_packets(episode.video, len(episode))
    folder.mkdir(parents=True, exist_ok=True)
    size = pictures_size(episode.video, len(episode)) + ROW_BYTES * len(episode)
    require_room(folder, size + DISK_PAUSE)
    with (
        disk_errors(out),
        replaced_file(lines) as lines_draft,
        replaced_file(video) as video_draft,
    ):
        _copy_video(episode.video, episode, video_draft)
        _write_rows(episode, controls, lines_draft)
        write_atomic(header_path(lines), _header(episode).model_dump_json(exclude_none=True))
    return True


def _header(episode: Episode) -> Header:
    info = episode.header.model_copy(update={"source": None})
    return Header(episode=episode.id, game=episode.spec.id, info=info)


def _ticks(episode: Episode) -> Iterator[int]:
    """The tick of each step, from 0 on: before the first no gap is known to other readers."""
    tick = -1
    for i in range(len(episode)):
        tick += 1 + (episode.dropped_before.get(i, 0) if i else 0)
        yield tick


def _write_rows(episode: Episode, controls: MinecraftControls, path: Path) -> None:
    writer = RowWriter(controls, episode.manifest.start_wall_ns // 10**6)
    known = states(episode.folder, len(episode))
    steps = zip(_ticks(episode), episode.actions, known, strict=True)
    with path.open("w", encoding="utf-8") as file:
        for tick, action, state in steps:
            row = writer.row(tick, action, state)
            file.write(json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n")


def _copy_video(video: VideoSlice, episode: Episode, path: Path) -> None:
    """The episode's compressed frames, each shown from its tick on."""
    with reading(video.path) as source, writing(path, {"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = episode_packets(source, video, len(episode))
        for tick, packet in zip(_ticks(episode), packets, strict=True):
            packet.stream = stream
            packet.time_base = Fraction(1, RATE)
            packet.pts = packet.dts = tick
            packet.duration = 1
            target.mux(packet)

"""Recorder: captures of play, written crash-safe, episodes read back, and foreign formats."""

from recorder.capture.live import LiveRecorder, LiveReport
from recorder.capture.recording_process import RecordingEndedError
from recorder.capture.recover import Recovered, recover
from recorder.capture.tap import Tap
from recorder.capture.writer import CaptureWriter
from recorder.episodes.broken_videos import without_broken
from recorder.episodes.episode import Episode, EpisodeSet
from recorder.episodes.frame_cache import BrokenVideosError, decode_cache
from recorder.episodes.jpeg_cache import JpegFrames, jpeg_cache
from recorder.episodes.readable import readable_episodes
from recorder.episodes.validate import validate
from recorder.format.manifest import (
    CaptureError,
    CaptureInfo,
    DiskFullError,
    Manifest,
    Skipped,
    TextSpan,
)
from recorder.format.video import LIVE, SHARP, VideoProfile
from recorder.formats.bleeding_edge.export import export_bleeding_edge
from recorder.formats.bleeding_edge.importer import import_bleeding_edge
from recorder.formats.clips import clip_frames, import_captions
from recorder.formats.detect import detect_format
from recorder.formats.doom.importer import import_doom
from recorder.formats.export_report import ExportReport
from recorder.formats.import_job import ImportJob, ImportReport
from recorder.formats.lerobot.export import export_lerobot
from recorder.formats.lerobot.importer import ActionColumns, import_lerobot
from recorder.formats.lerobot.statistics import merge_stats
from recorder.formats.vpt.download import (
    DownloadPlan,
    plan_download,
    read_index,
    run_download,
)
from recorder.formats.vpt.export import export_vpt
from recorder.formats.vpt.folder import recordings
from recorder.formats.vpt.importer import import_vpt
from recorder.inspection import Inspected, inspect_captures
from recorder.open import find_episodes, open_episodes, open_readable

__all__ = [
    "LIVE",
    "SHARP",
    "ActionColumns",
    "BrokenVideosError",
    "CaptureError",
    "CaptureInfo",
    "CaptureWriter",
    "DiskFullError",
    "DownloadPlan",
    "Episode",
    "EpisodeSet",
    "ExportReport",
    "ImportJob",
    "ImportReport",
    "Inspected",
    "JpegFrames",
    "LiveRecorder",
    "LiveReport",
    "Manifest",
    "RecordingEndedError",
    "Recovered",
    "Skipped",
    "Tap",
    "TextSpan",
    "VideoProfile",
    "clip_frames",
    "decode_cache",
    "detect_format",
    "export_bleeding_edge",
    "export_lerobot",
    "export_vpt",
    "find_episodes",
    "import_bleeding_edge",
    "import_captions",
    "import_doom",
    "import_lerobot",
    "import_vpt",
    "inspect_captures",
    "jpeg_cache",
    "merge_stats",
    "open_episodes",
    "open_readable",
    "plan_download",
    "read_index",
    "readable_episodes",
    "recordings",
    "recover",
    "run_download",
    "validate",
    "without_broken",
]

"""Recorder: captures of play, written crash-safe, episodes read back, and foreign formats."""

from recorder.capture.live import LiveRecorder, LiveReport
from recorder.capture.recover import Recovered, recover
from recorder.capture.writer import CaptureWriter
from recorder.episodes.episode import Episode, EpisodeSet
from recorder.episodes.frame_cache import decode_cache
from recorder.episodes.jpeg_cache import JpegFrames, jpeg_cache
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
from recorder.formats.clips import clip_frames, import_captions
from recorder.formats.detect import detect_format
from recorder.formats.import_job import ImportJob, ImportReport
from recorder.formats.lerobot.export import ExportReport, export_lerobot
from recorder.formats.lerobot.importer import ActionColumns, import_lerobot
from recorder.formats.lerobot.statistics import merge_stats
from recorder.formats.vpt.importer import import_vpt
from recorder.open import open_episodes

__all__ = [
    "LIVE",
    "SHARP",
    "ActionColumns",
    "CaptureError",
    "CaptureInfo",
    "CaptureWriter",
    "DiskFullError",
    "Episode",
    "EpisodeSet",
    "ExportReport",
    "ImportJob",
    "ImportReport",
    "JpegFrames",
    "LiveRecorder",
    "LiveReport",
    "Manifest",
    "Recovered",
    "Skipped",
    "TextSpan",
    "VideoProfile",
    "clip_frames",
    "decode_cache",
    "detect_format",
    "export_lerobot",
    "import_captions",
    "import_lerobot",
    "import_vpt",
    "jpeg_cache",
    "merge_stats",
    "open_episodes",
    "recover",
    "validate",
]

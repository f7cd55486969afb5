"""What happened? Captures of play, written crash-safe, and the episodes read back from them."""

from recorder.cache import decode_cache
from recorder.capture import CaptureWriter
from recorder.episode import Episode, EpisodeSet, Window
from recorder.layout import CaptureError, CaptureInfo, Manifest, TextSpan
from recorder.lerobot import export_lerobot
from recorder.live import LiveRecorder, LiveReport
from recorder.opening import open_episodes
from recorder.recover import Recovered, recover
from recorder.statistics import merge_stats
from recorder.validate import validate
from recorder.video import LIVE, SHARP, VideoProfile

__all__ = [
    "LIVE",
    "SHARP",
    "CaptureError",
    "CaptureInfo",
    "CaptureWriter",
    "Episode",
    "EpisodeSet",
    "LiveRecorder",
    "LiveReport",
    "Manifest",
    "Recovered",
    "TextSpan",
    "VideoProfile",
    "Window",
    "decode_cache",
    "export_lerobot",
    "merge_stats",
    "open_episodes",
    "recover",
    "validate",
]

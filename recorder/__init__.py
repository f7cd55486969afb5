"""What happened? Captures of play, written crash-safe, and the episodes read back from them."""

from recorder.cache import decode_cache
from recorder.captions import clip_frames, import_captions
from recorder.capture import CaptureWriter
from recorder.episode import Episode, EpisodeSet, Window
from recorder.foreign import kind_of
from recorder.jpeg_cache import JpegFrames, jpeg_cache
from recorder.layout import CaptureError, CaptureInfo, Manifest, TextSpan
from recorder.lerobot import export_lerobot
from recorder.lerobot_import import Imported, Numbers, import_lerobot
from recorder.live import LiveRecorder, LiveReport
from recorder.opening import open_episodes
from recorder.recover import Recovered, recover
from recorder.statistics import merge_stats
from recorder.validate import validate
from recorder.video import LIVE, SHARP, VideoProfile
from recorder.vpt_import import ImportedPlay, import_vpt

__all__ = [
    "LIVE",
    "SHARP",
    "CaptureError",
    "CaptureInfo",
    "CaptureWriter",
    "Episode",
    "EpisodeSet",
    "Imported",
    "ImportedPlay",
    "JpegFrames",
    "LiveRecorder",
    "LiveReport",
    "Manifest",
    "Numbers",
    "Recovered",
    "TextSpan",
    "VideoProfile",
    "Window",
    "clip_frames",
    "decode_cache",
    "export_lerobot",
    "import_captions",
    "import_lerobot",
    "import_vpt",
    "jpeg_cache",
    "kind_of",
    "merge_stats",
    "open_episodes",
    "recover",
    "validate",
]

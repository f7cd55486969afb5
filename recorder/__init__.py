"""What happened? Captures of play, written crash-safe, and the episodes read back from them."""

from recorder.cache import decode_cache
from recorder.capture import LIVE, SHARP, CaptureWriter, VideoProfile
from recorder.episode import Episode, EpisodeSet, Window, open_episodes
from recorder.layout import CaptureError, CaptureInfo, Manifest, TextSpan
from recorder.recover import Recovered, recover

__all__ = [
    "LIVE",
    "SHARP",
    "CaptureError",
    "CaptureInfo",
    "CaptureWriter",
    "Episode",
    "EpisodeSet",
    "Manifest",
    "Recovered",
    "TextSpan",
    "VideoProfile",
    "Window",
    "decode_cache",
    "open_episodes",
    "recover",
]

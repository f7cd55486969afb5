"""Format detection: which foreign format the files of a folder are in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from recorder.format.manifest import CaptureError
from recorder.formats.clips import CAPTIONS
from recorder.formats.lerobot.schema import INFO
from recorder.formats.vpt.folder import recordings

Kind = Literal["captions", "lerobot", "vpt"]


def detect_format(folder: Path) -> Kind:
    """Captioned clips, a LeRobotDataset or VPT recordings; raises `CaptureError` where it is none of them."""
    if (folder / CAPTIONS).exists():
        return "captions"
    if (folder / INFO).exists():
        return "lerobot"
    if recordings(folder):
        return "vpt"
    what = f"no {CAPTIONS}, no {INFO} of a LeRobot dataset, no NAME.mp4 with a NAME.jsonl beside it"
    raise CaptureError(f"{folder} holds nothing to import: {what}")

"""Format detection: which foreign format a folder or a file is in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from recorder.format.manifest import CaptureError
from recorder.formats.bleeding_edge.importer import match_files
from recorder.formats.brawl.files import replay_files
from recorder.formats.clips import CAPTIONS
from recorder.formats.doom.importer import demo_files
from recorder.formats.lerobot.schema import INFO
from recorder.formats.vpt.folder import recordings

Kind = Literal["captions", "lerobot", "vpt", "bleeding-edge", "brawl", "doom"]


def detect_format(folder: Path) -> Kind:
    """The format of clips with captions, a LeRobotDataset, or files of VPT, Bleeding Edge, brawl or Doom.

    Raises `CaptureError` for others.
    """
    if (folder / CAPTIONS).exists():
        return "captions"
    if (folder / INFO).exists():
        return "lerobot"
    if replay_files(folder):
        return "brawl"
    if match_files(folder):  # first: the sample has a video beside each file
        return "bleeding-edge"
    if recordings(folder):
        return "vpt"
    if demo_files(folder):
        return "doom"
    what = f"no {CAPTIONS}, no {INFO} (LeRobot), no NAME.mp4 with a NAME.jsonl beside it, no .npz, .wad or .lmp"
    raise CaptureError(f"{folder} holds nothing to import: {what}")

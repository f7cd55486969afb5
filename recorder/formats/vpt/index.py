"""Index file of public recordings: {"basedir": URL, "relpaths": ["data/6.9/NAME.mp4", …]}.

The form of the index files of VPT (`all_6xx_Jun_29.json`) and BASALT (`find-cave-Jul-28.json`). A path may lack its
suffix. Each stands for a NAME.mp4 and a NAME.jsonl in the same folder. What is written locally keeps the last folder
only, `6.9/NAME.mp4`: recorder version or task, as imports read them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from recorder.format.manifest import CaptureError, Skipped

LINES, VIDEO = ".jsonl", ".mp4"
MAX_INDEX_BYTES = 64 << 20
"""Largest index file that is read."""
MAX_PATHS = 1_000_000
MAX_UNSAFE = 20
"""Refused paths that are named one by one."""
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
"""A folder or file: no drive, no `..`, nothing that a URL or a shell gives a meaning to."""


@dataclass(frozen=True)
class IndexedRecording:
    """One recording of an index."""

    path: str
    """Its path there, without suffix."""

    @property
    def local(self) -> str:
        """Its path below the folder that it is written to, without suffix: the last folder, and the name."""
        return "/".join(self.path.split("/")[-2:])


@dataclass(frozen=True)
class RecordingIndex:
    """The recordings of an index, in its order."""

    base_url: str
    """Ends in a slash."""
    recordings: tuple[IndexedRecording, ...]
    skipped: tuple[Skipped, ...] = ()
    """Paths that are refused, and why."""

    def url(self, recording: IndexedRecording, suffix: str) -> str:
        return self.base_url + recording.path + suffix

    def matching(self, pattern: str) -> RecordingIndex:
        """Those whose path holds the pattern, in which `*`, `?` and `[…]` stand for others as in a shell."""
        matching = [r for r in self.recordings if fnmatchcase(r.path, f"*{pattern}*")]
        return RecordingIndex(self.base_url, tuple(matching), self.skipped)


def parse_index(content: bytes, name: str) -> RecordingIndex:
    """Read an index file called `name`; raises `CaptureError` where it is none, or is not for http or https."""
    base, paths = _fields(content, name)
    recordings: dict[str, IndexedRecording] = {}
    refused: list[Skipped] = []
    for path in paths:
        plain = path.removesuffix(VIDEO) if isinstance(path, str) else path
        if why := unsafe(plain):
            refused.append(Skipped(f"{name}: {path!r:.200}", why))
            continue
        recording = IndexedRecording(plain)
        first = recordings.setdefault(recording.local.lower(), recording)
        if first.path != recording.path:
            why = f"it would be written where {first.path!r} is"
            refused.append(Skipped(f"{name}: {path!r:.200}", why))
    if further := refused[MAX_UNSAFE:]:
        refused = [
            *refused[:MAX_UNSAFE],
            Skipped(name, f"{len(further)} further paths are refused"),
        ]
    return RecordingIndex(base, tuple(recordings.values()), tuple(refused))


def _fields(content: bytes, name: str) -> tuple[str, Sequence[Any]]:
    if len(content) > MAX_INDEX_BYTES:
        raise CaptureError(f"{name} has more than {MAX_INDEX_BYTES} bytes: is it an index file?")
    try:
        raw: Any = json.loads(content)
    except (ValueError, RecursionError):
        raise CaptureError(f"{name} is no index file: it is no JSON") from None
    base, paths = (raw.get("basedir"), raw.get("relpaths")) if isinstance(raw, dict) else (0, 0)
    if not isinstance(base, str) or not isinstance(paths, list):
        raise CaptureError(f"{name} is no index file: it lacks basedir or relpaths")
    if len(paths) > MAX_PATHS:
        raise CaptureError(f"{name} has {len(paths):,} paths, an index at most {MAX_PATHS:,}")
    check_url(base)
    return base if base.endswith("/") else base + "/", paths


def check_url(url: str) -> None:
    """Raise `CaptureError` for what is no address of a server for http or https, or holds a password."""
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_web = False
    if not is_web or not url.isascii() or not url.isprintable() or " " in url:
        raise CaptureError(f"{url!r:.200} is no address that begins with http:// or https://")
    if "@" in parts.netloc:
        raise CaptureError(
            f"the address of {parts.hostname} holds a name or a password: leave it out"
        )


def unsafe(path: object) -> str:
    """Why a path of an index cannot be a part of an address and a file below a folder; empty where it can."""
    if not isinstance(path, str):
        return "it is no text"
    if PurePosixPath(path).is_absolute():
        return "it is absolute"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it has an empty part, or . or .."
    if not all(map(_PART.fullmatch, parts)):
        return "its folders and names may have letters, digits, '.', '_' and '-' only"
    return ""

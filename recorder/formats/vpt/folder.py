"""Folder of VPT or BASALT recordings: NAME.mp4 beside NAME.jsonl, its tasks and recorder versions.

A folder may hold recordings, or folders of recordings, such as BASALT's four tasks (`MineRLBasaltFindCave-v0`, or as
in its index files `find-cave`) or VPT's recorder versions (`data/6.9`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from games.minecraft import BASALT_INSTRUCTIONS
from recorder.format.manifest import CaptureError
from recorder.formats.vpt.header import ENDING
from recorder.formats.vpt.index import LINES, MAX_INDEX_BYTES, VIDEO

_SIDE_FILES = ("-options.json", ".part.json", ENDING)
"""Files beside one recording: VPT's options, what a download notes, our header."""
_SESSION = re.compile(r"-\d{8}-\d{6}$")
_VERSION = re.compile(r"v?(\d{1,2}\.\d{1,2})")
_BASALT = re.compile(r"(?:MineRLBasalt)?([A-Z][A-Za-z]+?)(?:-v\d+)?")


class Task(NamedTuple):
    """A task's name, and the instruction in words."""

    name: str
    instruction: str


_PEN = Task("create_village_animal_pen", BASALT_INSTRUCTIONS["CreateVillageAnimalPen"])
BASALT_TASKS = {
    "FindCave": Task("find_cave", BASALT_INSTRUCTIONS["FindCave"]),
    "MakeWaterfall": Task("make_waterfall", BASALT_INSTRUCTIONS["MakeWaterfall"]),
    "CreateVillageAnimalPen": _PEN,
    "MakeVillageAnimalPen": _PEN,
    "BuildVillageHouse": Task("build_village_house", BASALT_INSTRUCTIONS["BuildVillageHouse"]),
}
"""Tasks of the MineRL BASALT 2022 competition (minerl.readthedocs.io; the pen has two names)."""
INDEX_FOLDERS = {
    "find-cave": "FindCave",
    "waterfall": "MakeWaterfall",
    "pen-animals": "CreateVillageAnimalPen",
    "build-house": "BuildVillageHouse",
}
"""The folders of these tasks in BASALT's index files."""
VERSION_TASKS = {
    "8": Task("build_house", "build a simple house"),
    "9": Task("build_house_from_materials", "build a house from the given materials"),
    "10": Task("obtain_diamond_pickaxe", "craft a diamond pickaxe"),
}
"""What VPT's contractors were asked for from recorder version 8 on, by major version (its README); before they played
freely."""


@dataclass(frozen=True)
class Recording:
    """The two files of one recording, of which one may be missing."""

    name: str
    """The files' name without suffix, after the name of the folder where it is one of several."""
    video: Path
    lines: Path
    task: Task | None = None
    """The task that the folder's name tells."""
    version: str = ""
    """The recorder's version ("6.9"); empty where it is not known."""
    is_exported: bool = False
    """Whether it was exported here: a picture at each row's tick and at no other, with the pointer as it was seen."""

    @property
    def session(self) -> str:
        """The name without its date and time, which parts of one session have in common."""
        return _SESSION.sub("", self.lines.stem)

    def check(self) -> None:
        """Raise `CaptureError` where one of the files is missing."""
        for path in (self.lines, self.video):
            if not path.is_file():
                raise CaptureError(f"no {path} beside the other file")


def recordings(folder: Path) -> list[Recording]:
    """The recordings in a folder and in the folders in it that hold any, by name; suffixes in any case.

    Those in the folder itself may lack one of their two files; a folder in it counts where one has both.
    """
    below = [sub for sub in _sorted(folder) if sub.is_dir() and _has_pair(sub)]
    return [
        *_recordings(folder, ""),
        *(recording for sub in below for recording in _recordings(sub, f"{sub.name}/")),
    ]


def _recordings(folder: Path, prefix: str) -> list[Recording]:
    lines, videos = _files(folder, LINES), _files(folder, VIDEO)
    versions = _indexed_versions(folder) if lines or videos else {}
    path_version, task = _path_version(folder), basalt_task(folder.resolve().name)
    return [
        Recording(
            name=prefix + name,
            video=videos.get(name, folder / (name + VIDEO)),
            lines=lines.get(name, folder / (name + LINES)),
            task=task,
            version=versions.get(name, path_version),
        )
        for name in sorted({*lines, *videos})
    ]


def basalt_task(folder_name: str) -> Task | None:
    """The task of a folder called as MineRL or an index file calls BASALT's; None where it is another folder."""
    match = _BASALT.fullmatch(INDEX_FOLDERS.get(folder_name, folder_name))
    return BASALT_TASKS.get(match[1]) if match else None


def basalt_folder(task: str) -> str:
    """The name of BASALT's folder for a task's name; empty for another task."""
    names = (f"MineRLBasalt{key}-v0" for key, known in BASALT_TASKS.items() if known.name == task)
    return next(names, "")


def version_task(version: str) -> Task | None:
    """The task that a recorder version stands for; None where its players were free, or it is not known."""
    return VERSION_TASKS.get(version.partition(".")[0])


def parse_version(text: str) -> str:
    """A recorder version such as "6.9" or "v6.9"; raises `CaptureError` where it is none."""
    if match := _VERSION.fullmatch(text):
        return match[1]
    raise CaptureError(f"{text!r} is no recorder version: one is written as 6.9")


def _has_pair(folder: Path) -> bool:
    return bool(_files(folder, LINES).keys() & _files(folder, VIDEO).keys())


def _files(folder: Path, suffix: str) -> dict[str, Path]:
    """Files by stem; of two whose suffixes differ in case only, the lower case one."""
    paths = [p for p in _sorted(folder) if p.suffix.lower() == suffix and p.is_file()]
    return {path.stem: path for path in paths}  # lower case sorts behind upper case


def _sorted(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _path_version(folder: Path) -> str:
    """The version in the folder's path, the nearest first."""
    matches = (_VERSION.fullmatch(part) for part in reversed(folder.resolve().parts))
    return next((match[1] for match in matches if match), "")


def _indexed_versions(folder: Path) -> dict[str, str]:
    """Versions by recording, of the index files in a folder: {"relpaths": ["data/6.9/NAME.mp4", …]}."""
    versions = {}
    for path in _files(folder, ".json").values():
        if path.name.endswith(_SIDE_FILES):
            continue
        for entry in _relative_paths(path):
            inside = PurePosixPath(entry.removesuffix(VIDEO))
            if match := _VERSION.fullmatch(inside.parent.name):
                versions[inside.name] = match[1]
    return versions


def _relative_paths(index: Path) -> list[str]:
    try:
        if index.stat().st_size > MAX_INDEX_BYTES:
            return []
        raw: Any = json.loads(index.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    paths = raw.get("relpaths") if isinstance(raw, dict) else None
    return [p for p in paths if isinstance(p, str)] if isinstance(paths, list) else []

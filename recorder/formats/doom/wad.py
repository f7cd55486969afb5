"""WAD: the lumps of a Doom data file, of which the demos are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from recorder.format.manifest import CaptureError
from recorder.formats.doom.demo import MAX_BYTES

MAX_LUMPS = 1 << 16
_ENTRY = 16
_DEMO = re.compile(r"DEMO\d{1,2}")


class Wad(NamedTuple):
    """A WAD with the bytes of its demos by name; `has_maps` where levels are called MAP01, as in Doom II."""

    path: Path
    demos: dict[str, bytes]
    has_maps: bool


def read_wad(path: Path) -> Wad:
    """Raises `CaptureError` where it is no whole IWAD; demos that are too large or out of bounds are empty."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            head = file.read(12)
            kind, count, begin = (
                head[:4],
                *(int.from_bytes(head[i : i + 4], "little") for i in (4, 8)),
            )
            if kind == b"PWAD":
                raise CaptureError(
                    f"{path.name} is an add-on (PWAD); demos need a whole game (IWAD)"
                )
            if kind != b"IWAD" or count > MAX_LUMPS or begin + count * _ENTRY > size:
                raise CaptureError(f"{path.name} is no whole WAD")
            file.seek(begin)
            rows = file.read(count * _ENTRY)
            names, demos = set(), {}
            for at in range(0, len(rows), _ENTRY):
                lump, length = (int.from_bytes(rows[at + i : at + i + 4], "little") for i in (0, 4))
                name = rows[at + 8 : at + _ENTRY].rstrip(b"\0").decode("ascii", "replace")
                names.add(name)
                if _DEMO.fullmatch(name):
                    file.seek(lump)
                    demos[name] = file.read(length) if length <= MAX_BYTES else b""
            return Wad(path, demos, "MAP01" in names)
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror}") from None

"""Doom demo: what a player did at each tic of a level, as vanilla Doom records it.

A header of 13 bytes (version, skill, episode, map, four options, whose view, who plays), then 4 bytes a tic: forward,
side, turn, buttons; 5 in version 111, which has turns of 16 bits. The byte 0x80 ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from recorder.format.manifest import CaptureError

HEADER_BYTES = 13
END = 0x80
VERSIONS = range(104, 110)
"""Versions 1.4 to 1.9 of Doom."""
LONG_TICS = 111
MAX_TICS = 35 * 3600 * 2
MAX_BYTES = HEADER_BYTES + 5 * MAX_TICS + (64 << 10)
"""Largest demo that is read; what stands behind its end (a footer of some ports) counts too."""


class Tic(NamedTuple):
    """One tic: positive is forward, right and, for `turn_deg`, right."""

    forward: int
    side: int
    turn_deg: float
    buttons: int


@dataclass(frozen=True)
class Demo:
    """The level and every tic of one player's demo."""

    episode: int
    map: int
    tics: tuple[Tic, ...]


def parse_demo(data: bytes) -> Demo:
    """Raises `CaptureError` for what is no demo, cut off, of another version, or of several players."""
    if len(data) > MAX_BYTES:
        raise CaptureError(f"it has {len(data):,} bytes, a demo at most {MAX_BYTES:,}")
    if len(data) <= HEADER_BYTES:
        raise CaptureError(f"it has {len(data)} bytes and no tic")
    version, skill, episode, number = data[:4]
    if version not in VERSIONS and version != LONG_TICS:
        raise CaptureError(
            f"it is of version {version}; 104 to 109 (Doom 1.4 to 1.9) and 111 are read"
        )
    if skill > 4 or not 1 <= episode <= 9 or not 1 <= number <= 99:
        raise CaptureError(f"its header is damaged: skill {skill}, episode {episode}, map {number}")
    players = [who for who in range(4) if data[9 + who]]
    if players != [data[8]] or data[4]:
        raise CaptureError(f"it has {len(players)} players; demos of a single one are read")
    return Demo(episode, number, _tics(data, 5 if version == LONG_TICS else 4))


def _tics(data: bytes, size: int) -> tuple[Tic, ...]:
    tics: list[Tic] = []
    for at in range(HEADER_BYTES, len(data), size):
        if data[at] == END:
            if not tics:
                raise CaptureError("it has no tic")
            return tuple(tics)
        if at + size > len(data) or len(tics) == MAX_TICS:
            break
        tics.append(_tic(data[at : at + size]))
    raise CaptureError(f"it has no end after {len(tics):,} tics: it is cut off")


def _tic(row: bytes) -> Tic:
    forward, side = (int.from_bytes(row[i : i + 1], signed=True) for i in range(2))
    turn = int.from_bytes(row[2:-1], "little", signed=True) * 360 / 256 ** len(row[2:-1])
    return Tic(forward, side, -turn + 0.0, row[-1])

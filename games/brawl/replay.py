"""Replay files of matches: the seed and every seat's commands, from which each picture is drawn again exactly.

One `.npz` of two arrays: `header`, JSON as text (format, version, game, seed, who played and from which step on), and
`commands`, (steps, 8, 5) uint16: by seat the buttons as bits, and rotation bin and level of either stick. It has those
of the bots too, and so outlives changes of them. Nothing is pickled.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from games.brawl.command import BUTTONS, MAGNITUDES, ROTATIONS, Command
from games.brawl.fighter import SEATS
from games.brawl.match import Match
from games.brawl.picture import draw
from games.brawl.spec import SPEC
from games.env import Frame
from games.frozen_model import FrozenModel
from games.validation_error import first_error

VERSION = 1
MAX_STEPS = 18_000
"""Longest replay that is read or written: half an hour."""
MAX_BYTES = 8 << 20
"""Largest file that is read."""
_HEADER, _COMMANDS = "header.npy", "commands.npy"
_FIELDS = len(Command._fields)
_LIMITS = np.array([1 << len(BUTTONS), ROTATIONS, MAGNITUDES + 1, ROTATIONS, MAGNITUDES + 1])


class ReplayError(ValueError):
    """A file that is no replay of this version, or is damaged; the message says which and why."""


class ReplayHeader(FrozenModel):
    """What a replay is of."""

    format: str = Field("brawl-replay", pattern="^brawl-replay$")
    version: int = VERSION
    game: str = SPEC.id
    seed: int = Field(ge=0, lt=1 << 63)
    first: int = Field(0, ge=0, le=MAX_STEPS)
    """Step from which an episode within the match begins."""
    seat: int = Field(0, ge=0, lt=SEATS)
    """The seat of the one who played."""


@dataclass(frozen=True)
class Replay:
    """A match by its seed and commands, (steps, 8, 5) uint16: buttons, then rotation and level of each stick."""

    header: ReplayHeader
    commands: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.commands)

    def matches(self) -> Iterator[Match]:
        """The match before its first step and after each; it is the same object, moved on."""
        match = Match(self.header.seed)
        yield match
        for row in self.commands.tolist():
            match.step([Command(*numbers) for numbers in row])
            yield match

    def frames(self, seat: int | None = None, detail: int = 1) -> Iterator[Frame]:
        """The pictures of a seat (the player's by default) from the episode's first step on."""
        for step, match in enumerate(self.matches()):
            if step >= self.header.first:
                yield draw(match, self.header.seat if seat is None else seat, detail)


def replay_of(
    seed: int, commands: Sequence[Sequence[Command]], *, seat: int = 0, first: int = 0
) -> Replay:
    """The replay of a match; raises `ReplayError` where it is too long."""
    if len(commands) > MAX_STEPS:
        raise ReplayError(f"a replay has at most {MAX_STEPS:,} steps, not {len(commands):,}")
    rows = np.array(commands, np.uint16).reshape(len(commands), SEATS, _FIELDS)
    return Replay(ReplayHeader(seed=seed, seat=seat, first=first), rows)


def write_replay(replay: Replay, path: Path) -> None:
    """Write a file; one that is there is replaced once the new one is whole."""
    buffer = io.BytesIO()
    header = np.array(replay.header.model_dump_json())
    np.savez_compressed(buffer, header=header, commands=replay.commands)
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(buffer.getvalue())
    draft.replace(path)


def read_replay(path: Path) -> Replay:
    """Read a file; raises `ReplayError` for anything that is no replay, before large arrays are made."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReplayError(f"{path} is larger than {MAX_BYTES:,} bytes")
        with zipfile.ZipFile(path) as file:
            header = _read_header(file)
            commands = _read_array(
                file, _COMMANDS, np.dtype(np.uint16), MAX_STEPS * SEATS * _FIELDS
            )
    except (OSError, zipfile.BadZipFile, KeyError, EOFError, ValueError) as error:
        raise ReplayError(f"{path} is no replay of brawl: {error}") from error
    if commands.ndim != 3 or commands.shape[1:] != (SEATS, _FIELDS):
        raise ReplayError(f"{path}: the commands are {commands.shape}, not (steps, 8, {_FIELDS})")
    if (commands >= _LIMITS).any():
        raise ReplayError(f"{path} has commands that the game's controls do not have")
    return Replay(header, commands)


def _read_header(file: zipfile.ZipFile) -> ReplayHeader:
    text = str(_read_array(file, _HEADER, None, 4096))
    try:
        header = ReplayHeader.model_validate(json.loads(text))
    except ValidationError as error:
        raise ReplayError(str(first_error(error))) from None
    if header.version != VERSION or header.game != SPEC.id:
        raise ReplayError(
            f"it is of {header.game}, version {header.version}; this is {SPEC.id}, version {VERSION}"
        )
    return header


def _read_array(
    file: zipfile.ZipFile, name: str, dtype: np.dtype[Any] | None, limit: int
) -> NDArray[Any]:
    """An array of at most `limit` numbers or letters; its header is checked before its values are read."""
    with file.open(name) as member:
        major = npy.read_magic(member)
        read = npy.read_array_header_1_0 if major == (1, 0) else npy.read_array_header_2_0
        shape, fortran, kind = read(member)
        size = int(np.prod(shape, dtype=np.int64)) * (kind.itemsize // 4 if kind.kind == "U" else 1)
        if fortran or size > limit or (kind != dtype if dtype is not None else kind.kind != "U"):
            raise ReplayError(f"{name} is {kind} {shape}")
        data = member.read(size * (4 if kind.kind == "U" else kind.itemsize) + 1)
    return np.frombuffer(data, kind, count=int(np.prod(shape, dtype=np.int64))).reshape(shape)

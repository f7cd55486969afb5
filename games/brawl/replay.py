"""Replay files of matches: the seed and every seat's commands, from which each picture is drawn again exactly.

One `.npz` of two arrays: `header`, JSON as text (format, version, game, seed, which seat was played, by whom, with
which instruction, from which step on, and how the match stood at the end), and `commands`, (steps, 8, 5) uint16: by
seat the buttons as bits, and rotation bin and level of either stick. It has those of the bots too, and so outlives
changes of them. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from games.brawl.command import BUTTONS, MAGNITUDES, ROTATIONS, Command
from games.brawl.fighter import SEATS
from games.brawl.match import Match
from games.brawl.picture import draw
from games.brawl.spec import SPEC
from games.brawl.state import MatchState
from games.env import Frame
from games.frozen_model import FrozenModel
from games.spec import Action
from games.validation_error import first_error

Actor = Literal["human", "expert", "random", "agent"]

VERSION = 2
"""Version 1 had no instruction, task, actor or end."""
MAX_STEPS = 18_000
"""Longest replay that is read or written: half an hour."""
MAX_BYTES = 8 << 20
"""Largest file that is read."""
MAX_INSTRUCTION, MAX_TASK = 500, 64
"""Characters, as on the wire."""
_HEADER, _COMMANDS = "header.npy", "commands.npy"
_FIELDS = len(Command._fields)
_LIMITS = np.array([1 << len(BUTTONS), ROTATIONS, MAGNITUDES + 1, ROTATIONS, MAGNITUDES + 1])

_DAMAGE = (
    *(OSError, zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, TypeError),
    *(RuntimeError, SyntaxError, TokenError, MemoryError),
)
"""What zipfile, numpy and json raise for a damaged file (RecursionError is a RuntimeError)."""


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
    actor: Actor = "human"
    """Who played there."""
    instruction: str = Field("", max_length=MAX_INSTRUCTION)
    task: str = Field("", max_length=MAX_TASK)
    end: str = Field(pattern="^[0-9a-f]{16}$")
    """`fingerprint` of the match after the last step."""


@dataclass(frozen=True)
class Replay:
    """A match by its seed and commands, (steps, 8, 5) uint16: buttons, then rotation and level of each stick."""

    header: ReplayHeader
    commands: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.commands)

    def matches(self) -> Iterator[Match]:
        """The match before its first step and after each; it is the same object, moved on.

        Raises `ReplayError` at the end where the match does not end as it did: other rules, or other arithmetic.
        """
        match = Match(self.header.seed)
        yield match
        for row in self.commands.tolist():
            match.step([Command(*numbers) for numbers in row])
            yield match
        if fingerprint(match) != self.header.end:
            raise ReplayError("the match ends otherwise: it was played by other rules")

    def frames(self, seat: int | None = None, detail: int = 1) -> Iterator[Frame]:
        """The pictures of a seat (the player's by default) from the episode's first step on."""
        for step, match in enumerate(self.matches()):
            if step >= self.header.first:
                yield draw(match, self.header.seat if seat is None else seat, detail)

    def actions(self) -> Iterator[Action]:
        """What the player did at each of those pictures but the last."""
        for numbers in self.commands[self.header.first :, self.header.seat].tolist():
            yield Command(*numbers).action


def fingerprint(match: MatchState) -> str:
    """Where everybody stands and how well, and the score, as 16 hexadecimal digits; rounded to a millimeter."""
    fighters = [(f.x, f.y, f.z, f.yaw, f.health, f.charge) for f in match.fighters]
    rounded = [[round(value, 3) + 0.0 for value in fighter] for fighter in fighters]
    state = json.dumps([match.tick, list(match.score), rounded])
    return hashlib.sha256(state.encode()).hexdigest()[:16]


def replay_of(
    match: MatchState,
    commands: Sequence[Sequence[Command]],
    *,
    actor: Actor = "human",
    seat: int = 0,
    first: int = 0,
    instruction: str = "",
    task: str = "",
) -> Replay:
    """The replay of a match that `commands` led to; raises `ReplayError` where it or its instruction is too long."""
    if len(commands) > MAX_STEPS:
        raise ReplayError(f"a replay has at most {MAX_STEPS:,} steps, not {len(commands):,}")
    rows = np.array(commands, np.uint16).reshape(len(commands), SEATS, _FIELDS)
    try:
        header = ReplayHeader(
            seed=match.seed, actor=actor, seat=seat, first=first, instruction=instruction,
            task=task, end=fingerprint(match),
        )  # fmt: skip
    except ValidationError as error:
        raise ReplayError(f"no replay: {first_error(error)}") from None
    return Replay(header, rows)


def write_replay(replay: Replay, path: Path) -> None:
    """Write a file; one that is there is replaced once the new one is whole."""
    buffer = io.BytesIO()
    header = np.array(replay.header.model_dump_json())
    np.savez_compressed(buffer, header=header, commands=replay.commands)
    draft = path.with_name(path.name + ".part")
    try:
        draft.write_bytes(buffer.getvalue())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_replay(path: Path) -> Replay:
    """Read a file; raises `ReplayError` for anything that is no replay, before large arrays are made."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReplayError(f"larger than {MAX_BYTES:,} bytes")
        with zipfile.ZipFile(path) as file:
            header = _read_header(file)
            commands = _read_array(
                file, _COMMANDS, np.dtype(np.uint16), MAX_STEPS * SEATS * _FIELDS
            )
    except _DAMAGE as error:
        raise ReplayError(f"no replay of brawl: {_first_line(error)}") from error
    if commands.ndim != 3 or commands.shape[1:] != (SEATS, _FIELDS):
        raise ReplayError(f"the commands are {commands.shape}, not (steps, 8, {_FIELDS})")
    if (commands >= _LIMITS).any():
        raise ReplayError("commands that the game's controls do not have")
    return Replay(header, commands)


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return next(iter(str(error).splitlines()), "it ends too early")


def _read_header(file: zipfile.ZipFile) -> ReplayHeader:
    raw = json.loads(str(_read_array(file, _HEADER, None, 4096)))
    if isinstance(raw, dict) and (raw.get("game"), raw.get("version")) != (SPEC.id, VERSION):
        it = f"{raw.get('game')!s:.80}, version {raw.get('version')!s:.20}"
        raise ReplayError(f"it is of {it}; this is {SPEC.id}, version {VERSION}")
    try:
        return ReplayHeader.model_validate(raw)
    except ValidationError as error:
        raise ReplayError(str(first_error(error))) from None


def _read_array(
    file: zipfile.ZipFile, name: str, dtype: np.dtype[Any] | None, limit: int
) -> NDArray[Any]:
    """An array of at most `limit` numbers or letters; its header is checked before its values are read."""
    with file.open(name) as member:
        major = npy.read_magic(member)
        read = npy.read_array_header_1_0 if major == (1, 0) else npy.read_array_header_2_0
        shape, fortran, kind = read(member)
        count = math.prod(shape)
        size = count * (kind.itemsize // 4 if kind.kind == "U" else 1)
        right = kind == dtype if dtype is not None else kind.kind == "U"
        if fortran or not right or size > limit or any(side < 0 for side in shape):
            raise ReplayError(f"{name} is {kind} {shape}")
        data = member.read(count * kind.itemsize + 1)
    return np.frombuffer(data, kind, count=count).reshape(shape)

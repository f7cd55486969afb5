"""Bindings: which key, button or stick moves which control, by the meanings of controls, from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError

from games.controls import Axis, Button, Camera, Choice, Control, Stick
from games.frozen_model import FrozenModel
from games.game import UnplayableError
from games.human.inputs import DIRECTIONS, GROUPS, KNOWN_INPUTS, MOUSE
from games.meanings import MEANINGS, meaning_of
from games.spec import GameSpec, did_you_mean
from games.validation_error import first_error

MAX_INPUTS = 16
MAX_FILE = 1 << 20
"""Bytes of a file of controls."""
ENDS = ("low", "high")

_Inputs = Annotated[tuple[str, ...], Field(max_length=MAX_INPUTS)]


class Target(NamedTuple):
    """What an input moves: a button, one direction of a camera or stick, one end of an axis, an option of a choice."""

    control: str
    part: str = ""
    """"" for a button; up, down, left or right; low or high; the option's name; "mouse" for its movement."""


class _Mouse(FrozenModel):
    degrees_per_pixel: float = Field(0.15, gt=0, le=10)


class _Look(FrozenModel):
    degrees_per_second: float = Field(120.0, gt=0, le=3600)


class _Spare(FrozenModel):
    keys: Annotated[tuple[str, ...], Field(max_length=100)] = ()


class ControlsFile(FrozenModel):
    """A file of controls: inputs by meaning, quick tags by digit."""

    inputs: Annotated[dict[str, _Inputs], Field(max_length=1000)] = Field({})
    tags: Annotated[
        dict[Annotated[str, Field(pattern="^[1-9]$")], Annotated[str, Field(max_length=100)]],
        Field(max_length=9),
    ] = Field({})
    mouse: _Mouse = _Mouse()
    look: _Look = _Look()
    spare: _Spare = _Spare()


def read_controls(path: Path | None = None) -> ControlsFile:
    """The shipped file, with what the user's changes; raises `UnplayableError` with one line where that is wrong."""
    if path is None:
        return _shipped()
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UnplayableError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE:
        raise UnplayableError(f"{path} has more than {MAX_FILE} bytes")
    try:
        raw = tomllib.loads(content.decode("utf-8"))
        user = ControlsFile.model_validate(raw)
    except ValidationError as error:
        raise UnplayableError(f"{path}: {first_error(error)}") from None
    except (ValueError, RecursionError) as error:
        raise UnplayableError(f"{path} is no TOML: {str(error).splitlines()[0]}") from None
    if wrong := _first_wrong(user):
        raise UnplayableError(f"{path}: {wrong}")
    shipped = _shipped()
    changes: dict[str, Any] = {name: getattr(user, name) for name in user.model_fields_set}
    for table in ("inputs", "tags"):
        changes[table] = {**getattr(shipped, table), **getattr(user, table)}
    return shipped.model_copy(update=changes)


@lru_cache(maxsize=1)
def _shipped() -> ControlsFile:
    text = files("games.human").joinpath("controls.toml").read_text(encoding="utf-8")
    return ControlsFile.model_validate(tomllib.loads(text))


def _first_wrong(file: ControlsFile) -> str:
    """The first meaning or input that does not exist; "" where all do."""
    for name, inputs in file.inputs.items():
        meaning = name.partition(":")[0]
        if "/" not in meaning and meaning not in MEANINGS:
            return f"no meaning called {meaning!r}{did_you_mean(meaning, MEANINGS)}"
        for each in inputs:
            if each not in KNOWN_INPUTS:
                return f"{name}: no input called {each!r}{did_you_mean(each, KNOWN_INPUTS)}"
    for each in file.spare.keys:
        if each not in KNOWN_INPUTS:
            return f"spare: no key called {each!r}{did_you_mean(each, KNOWN_INPUTS)}"
    return ""


@dataclass(frozen=True)
class Bindings:
    """The inputs of one game."""

    targets: Mapping[str, Target]
    """By the input's name."""
    tags: Mapping[str, str]
    """By the digit."""
    degrees_per_pixel: float = 0.15
    degrees_per_second: float = 120.0

    @property
    def tag_keys(self) -> tuple[tuple[str, str], ...]:
        """The key of each quick tag and its text; with Alt where the game has the digit itself."""
        return tuple(
            (f"Alt+{digit}" if digit in self.targets else digit, text)
            for digit, text in sorted(self.tags.items())
        )


def bind(spec: GameSpec, file: ControlsFile) -> Bindings:
    """The inputs of a game's controls: each input goes to the target that lists it further in front."""
    best: dict[str, tuple[int, Target]] = {}
    for control in spec.controls:
        for target in targets_of(control):
            for rank, name in _ranked(spec, control, target, file):
                if name not in best or rank < best[name][0]:
                    best[name] = (rank, target)
    targets = {name: target for name, (_, target) in best.items()}
    _bind_spare_keys(spec, file.spare.keys, targets)
    return Bindings(targets, file.tags, file.mouse.degrees_per_pixel, file.look.degrees_per_second)


def targets_of(control: Control) -> list[Target]:
    """Everything of a control that an input may move; nothing of a text."""
    match control:
        case Button():
            return [Target(control.name)]
        case Camera() | Stick():
            return [Target(control.name, part) for part in (MOUSE, *DIRECTIONS)]
        case Axis():
            return [Target(control.name, end) for end in ENDS]
        case Choice():
            return [Target(control.name, option) for option in control.options[1:]]
    return []


def _ranked(
    spec: GameSpec, control: Control, target: Target, file: ControlsFile
) -> Iterator[tuple[int, str]]:
    """The inputs of a target with their ranks; what is written for this one game goes before its meaning."""
    for bonus, name in (
        (-MAX_INPUTS, f"{spec.name}/{control.name}"),
        (0, meaning_of(spec, control)),
    ):
        if target.part:
            for rank, each in enumerate(file.inputs.get(f"{name}:{target.part}", ())):
                yield _rank_of_kind(file.inputs[f"{name}:{target.part}"], rank) + bonus, each
        whole = file.inputs.get(name, ())
        for rank, each in enumerate(whole):
            place = _rank_of_kind(whole, rank) + bonus
            if not target.part or each == MOUSE == target.part:
                yield place, each
            elif each in GROUPS and target.part in DIRECTIONS:
                yield place, GROUPS[each][DIRECTIONS.index(target.part)]


def _rank_of_kind(inputs: Sequence[str], rank: int) -> int:
    """How many inputs of the same device stand before it."""
    return sum(_device(other) == _device(inputs[rank]) for other in inputs[:rank])


def _device(name: str) -> str:
    return name.split(maxsplit=1)[0] if name.startswith(("mouse", "pad ")) else "keyboard"


def _bind_spare_keys(spec: GameSpec, keys: Sequence[str], targets: dict[str, Target]) -> None:
    free = [key for key in keys if key not in targets]
    bound = set(targets.values())
    for control in spec.controls:
        of_control = [target for target in targets_of(control) if target.part != MOUSE]
        if isinstance(control, Camera | Stick) and bound & set(targets_of(control)):
            continue  # a mouse alone will do
        for target in of_control:
            if target not in bound and free:
                targets[free.pop(0)] = target

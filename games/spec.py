"""Game spec: id, frame size, clock and controls of a game, and its actions as tokens and words.

A `GameSpec` is data: it travels as JSON in the handshake, in every recording and in every checkpoint.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

from pydantic import FailFast, Field, field_validator, model_validator

from games.controls import ActionError, Button, Control, Token
from games.frozen_model import FrozenModel
from games.token_names import token_count, told_apart

Action = dict[str, Any]
"""One value per control, by the control's name (see `games.controls`)."""

START, END = "[STARTACTION]", "[ENDOFACTION]"
MAX_SIDE = 4096
"""Most pixels of a frame's height or width."""
MAX_CONTROLS = 256
MAX_TOKENS = 8192
"""Most tokens of a game's controls together; Bleeding Edge has 531."""
MAX_EXCLUSIVE = 1024
"""Most names in all exclusive groups together."""
MAX_HINTS = 100

_ID = r"^[a-z0-9][a-z0-9_-]*-v[0-9]+$"
_Hint = Annotated[str, Field(max_length=500)]
_Group = Annotated[
    tuple[Annotated[str, Field(max_length=48)], ...], FailFast(), Field(max_length=MAX_CONTROLS)
]


class FrameSize(FrozenModel):
    """Height and width of a frame in pixels; a frame is uint8 RGB of shape (height, width, 3)."""

    height: int = Field(ge=8, le=MAX_SIDE)
    width: int = Field(ge=8, le=MAX_SIDE)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, 3)


class GameSpec(FrozenModel):
    """A game's id, frame, clock and controls.

    `exclusive` names groups of buttons that are never down together. Tokens follow the paper (section 4.1):
    pressed buttons in alphabetical order, then the other controls in the order they are declared. A spec from outside
    is checked in time and memory linear in its size.
    """

    id: Annotated[str, Field(pattern=_ID, max_length=64)]
    title: str = Field(max_length=200)
    frame: FrameSize
    step_hz: float = Field(ge=0.01, le=240)
    controls: Annotated[tuple[Control, ...], FailFast()] = Field(max_length=MAX_CONTROLS)
    """Empty where there is only something to watch."""
    exclusive: Annotated[tuple[_Group, ...], FailFast()] = Field((), max_length=MAX_CONTROLS)
    hints: Annotated[tuple[_Hint, ...], FailFast()] = Field((), max_length=MAX_HINTS)
    """Sentences about the game for people and captioning models ("Pigs are pink.")."""

    @field_validator("id", mode="before")
    @classmethod
    def _versioned_id(cls, value: object) -> object:
        if isinstance(value, str) and len(value) <= 64 and not re.fullmatch(_ID, value):
            raise ValueError(
                "an id is lower-case letters, digits, - and _, and ends in its version: "
                f"call it {_nearest_id(value)!r}"
            )
        return value

    @field_validator("controls")
    @classmethod
    def _bounded_and_told_apart(cls, controls: tuple[Control, ...]) -> tuple[Control, ...]:
        if (total := sum(map(token_count, controls))) > MAX_TOKENS:
            raise ValueError(
                f"the controls have {total} tokens, a game has at most {MAX_TOKENS}: take fewer bins"
            )
        return told_apart(controls, reserved=(START, END))

    @model_validator(mode="after")
    def _consistent(self) -> GameSpec:
        _require_unique("control", (control.name for control in self.controls))
        tokens = (token for control in self.controls for token in control.tokens)
        _require_unique("token", (START, END, *tokens))
        if (total := sum(map(len, self.exclusive))) > MAX_EXCLUSIVE:
            raise ValueError(f"exclusive has {total} names, at most {MAX_EXCLUSIVE}")
        buttons = {control.name for control in self.controls if control.kind == "button"}
        for group in self.exclusive:
            if unknown := set(group) - buttons:
                raise ValueError(f"exclusive names no button: {_some(unknown)}")
            _require_unique("button of an exclusive group", group)
        return self

    @property
    def name(self) -> str:
        """The id without its version: `voxel-v0` is `voxel`."""
        return self.id.rpartition("-v")[0]

    @cached_property
    def by_name(self) -> dict[str, Control]:
        return {control.name: control for control in self.controls}

    @cached_property
    def token_order(self) -> tuple[Control, ...]:
        """The order in which controls are written: buttons alphabetically, then the rest as declared."""
        buttons = [c for c in self.controls if isinstance(c, Button)]
        others = [c for c in self.controls if not isinstance(c, Button)]
        return (*sorted(buttons, key=lambda c: c.name), *others)

    @cached_property
    def control_of_token(self) -> dict[Token, Control]:
        return {token: control for control in self.token_order for token in control.tokens}

    def null_action(self) -> Action:
        """The action that does nothing."""
        return {control.name: control.null for control in self.controls}

    def normalize(self, action: Mapping[str, Any]) -> Action:
        """Complete a partial action and move every value to its nearest bin.

        Raises `ActionError` for an unknown control, a value of the wrong kind or two exclusive buttons.
        """
        for name in action:
            if name not in self.by_name:
                raise ActionError(
                    f"no control called {name!r} in {self.id}{did_you_mean(name, self.by_name)}"
                )
        full = {c.name: c.normalize(action.get(c.name, c.null)) for c in self.controls}
        for group in self.exclusive:
            if len(down := [name for name in group if full[name]]) > 1:
                raise ActionError(f"{' and '.join(down)} exclude each other in {self.id}")
        return full

    def encode(self, action: Mapping[str, Any]) -> list[Token]:
        """The action as tokens between `[STARTACTION]` and `[ENDOFACTION]`; partial actions are completed."""
        full = self.normalize(action)
        body = [token for c in self.token_order for token in c.encode(full[c.name])]
        return [START, *body, END]

    def decode(self, tokens: Sequence[Token]) -> Action:
        """The inverse of `encode`; raises `ActionError` where the tokens are no legal action."""
        if len(tokens) < 2 or tokens[0] != START or tokens[-1] != END:
            raise ActionError(f"an action runs from {START} to {END}, got {list(tokens)}")
        of_control: dict[str, list[Token]] = {}
        for token in tokens[1:-1]:
            if token not in self.control_of_token:
                raise ActionError(
                    f"no token {token!r} in {self.id}{did_you_mean(token, self.control_of_token)}"
                )
            of_control.setdefault(self.control_of_token[token].name, []).append(token)
        action = {c.name: c.decode(of_control.get(c.name, ())) for c in self.controls}
        if self.encode(action) != list(tokens):
            raise ActionError(f"tokens out of order or repeated: {' '.join(tokens)}")
        return action

    def to_words(self, action: Mapping[str, Any]) -> str:
        """The action in words: "walk forward, jump, turn right 9°"; the null action is "do nothing"."""
        full = self.normalize(action)
        phrases = [phrase for c in self.controls for phrase in c.to_words(full[c.name])]
        return ", ".join(phrases) or "do nothing"

    def from_words(self, words: str) -> Action:
        """The inverse of `to_words`; raises `ActionError` for a phrase that is no control's."""
        phrases = [] if words.strip() == "do nothing" else words.strip().split(", ")
        action = {c.name: c.from_words(phrases) for c in self.controls}
        if phrases:
            known = [p for c in self.controls if isinstance(c, Button) for p in c.to_words(1)]
            raise ActionError(
                f"{phrases[0]!r} means nothing in {self.id}{did_you_mean(phrases[0], known)}"
            )
        return self.normalize(action)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'voxel'?" where something known is close, else ""."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _require_unique(what: str, items: Iterable[str]) -> None:
    if repeated := [item for item, count in Counter(items).items() if count > 1]:
        raise ValueError(f"{what} declared twice: {_some(repeated)}")


def _some(names: Iterable[str]) -> str:
    """The first five names."""
    ordered = sorted(names)
    return ", ".join(ordered[:5]) + (", …" if len(ordered) > 5 else "")


def _nearest_id(text: str) -> str:
    """A legal id made of a text: `My Game` is `my-game-v0`."""
    plain = re.sub(r"[^a-z0-9_]+", "-", text.lower())
    name, _, version = re.sub(r"-?v([0-9]+)$", r"-v\1", plain).rpartition("-v")
    if not re.fullmatch("[0-9]+", version):
        name, version = plain, "0"
    return f"{name.strip('-_')[:50] or 'game'}-v{version[:8]}"

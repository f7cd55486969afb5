"""Typed line: what a person means by a line of the text box: a thought, a goal, a correction of an earlier line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from games.spec import did_you_mean

Style = Literal["instruction", "thought", "correction", "caption", "quick_tag"]
"""As the recorder has them."""
COMMANDS = {
    "goal": ("/goal WORDS", "another instruction; no words: the game's own"),
    "fix": (
        "/fix 3 WORDS",
        "other words for line 3 (no number: the last)",
    ),
    "correct": ("/correct WORDS", "what should have been done"),
    "caption": ("/caption WORDS", "what is to be seen"),
    "say": ("/say WORDS", "say it in the game itself"),
}
"""Commands of the text box, each as it is written and what it does."""
_STYLES: dict[str, Style] = {
    "goal": "instruction", "correct": "correction", "caption": "caption",
}  # fmt: skip


class TypedLineError(ValueError):
    """A line that means nothing; the message says why, in one line."""


@dataclass(frozen=True)
class WrittenLine:
    """A text of the episode under way, as it was recorded: `id` names it, `i0` and `i1` are steps of the game."""

    id: int
    style: Style
    text: str
    i0: int
    i1: int | None = None
    t0_ns: int = 0


@dataclass(frozen=True)
class Say:
    """Words for the game's own text control."""

    text: str


@dataclass(frozen=True)
class Write:
    """A new text."""

    style: Style
    text: str


@dataclass(frozen=True)
class Fix:
    """Other words for an earlier line; none strike it."""

    line: WrittenLine
    text: str


def parse_line(text: str, written: Sequence[WrittenLine], *, has_chat: bool) -> Say | Write | Fix:
    """The meaning of a typed line; raises `TypedLineError` for an unknown command or line."""
    text = text.strip()
    if not text.startswith("/"):
        return Write("thought", text)
    name, _, rest = text[1:].partition(" ")
    rest = rest.strip()
    if name == "fix":
        return _fix(rest, written)
    if name == "say":
        if not has_chat:
            raise TypedLineError("this game has no chat")
        return Say(rest)
    if name not in _STYLES:
        near = did_you_mean(f"/{name}", [f"/{each}" for each in COMMANDS])
        raise TypedLineError(f"no command /{name}{near}")
    if not rest and name != "goal":
        raise TypedLineError(f"write {COMMANDS[name][0]}")
    return Write(_STYLES[name], rest)


def _fix(rest: str, written: Sequence[WrittenLine]) -> Fix:
    number, _, words = rest.partition(" ")
    digits = number.removeprefix("#")
    if not (digits.isascii() and digits.isdigit()):
        if not written:
            raise TypedLineError("there is no line yet to put right")
        return Fix(written[-1], rest)
    for line in written:
        if line.id == int(digits):
            return Fix(line, words.strip())
    raise TypedLineError(f"there is no line {digits[:9]}")

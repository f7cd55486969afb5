"""Key help: what F1 shows, each control of a game with its inputs, and the commands of the text box."""

from __future__ import annotations

from collections.abc import Iterator

from games.controls import Button, Camera, Stick, Text
from games.human.bindings import Bindings, Target
from games.human.inputs import DIRECTIONS, MOUSE
from games.human.typed_line import COMMANDS
from games.spec import GameSpec

BLANK = ("", "")


def help_rows(spec: GameSpec, bindings: Bindings, *, has_pad: bool) -> tuple[tuple[str, str], ...]:
    """Rows of a name and what it does; a game without a text control has no /say."""
    has_chat = any(isinstance(control, Text) for control in spec.controls)
    commands = (row for name, row in COMMANDS.items() if name != "say" or has_chat)
    return (*controls_in_words(spec, bindings, has_pad=has_pad), BLANK, *commands)


def controls_in_words(
    spec: GameSpec, bindings: Bindings, *, has_pad: bool
) -> Iterator[tuple[str, str]]:
    """What each control does and its inputs, a gamepad's last; those without an input say so."""
    for control in spec.controls:
        of_part: dict[str, list[str]] = {}
        for name, target in sorted(bindings.targets.items(), key=_is_of_pad):
            if target.control == control.name and (has_pad or not name.startswith("pad ")):
                of_part.setdefault(target.part, []).append(name)
        label = getattr(control, "label", "") or control.name.replace("_", " ")
        if isinstance(control, Text):
            yield label, "T, then /say and the words"
        elif isinstance(control, Camera | Stick):
            yield label, " / ".join(_grouped(of_part)) or "no input"
        elif isinstance(control, Button):
            yield label, " / ".join(of_part.get("", ())) or "no input"
        else:
            for part, names in of_part.items():
                yield f"{label} {part}", " / ".join(names)


def _is_of_pad(bound: tuple[str, Target]) -> bool:
    return bound[0].startswith("pad ")


def _grouped(of_part: dict[str, list[str]]) -> list[str]:
    """The inputs of a camera or stick, its four directions together."""
    mouse = of_part.get(MOUSE, [])
    rows = zip(*(of_part.get(d, []) for d in DIRECTIONS), strict=False)
    return [*mouse, *(_common(row) for row in rows)]


def _common(names: tuple[str, ...]) -> str:
    """Four directions in short: "pad left stick", "w s a d"."""
    stems = {name.rpartition(" ")[0] for name in names}
    (stem, *others) = stems
    return stem if stem and not others else " ".join(names)

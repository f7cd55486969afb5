"""Columns of a game: which of its controls are the 12 buttons and two sticks of the format, by their meanings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from games import Action, Button, GameSpec, Stick
from recorder.format.manifest import CaptureError
from recorder.formats.bleeding_edge.layout import BUTTONS, COLUMNS, MEANINGS, STICKS
from recorder.formats.bleeding_edge.sticks import from_polar, to_polar


@dataclass(frozen=True)
class Columns:
    """The controls of one game that the format has columns for."""

    buttons: dict[int, str]
    """The name of the game's button, by column."""
    sticks: tuple[Stick, Stick]

    @classmethod
    def of(cls, spec: GameSpec) -> Columns:
        """Raises `CaptureError` where the game lacks one of the two sticks."""
        by_meaning = {c.meaning: c for c in spec.controls if c.meaning}
        sticks = [by_meaning.get(MEANINGS[name]) for name in STICKS]
        left, right = sticks
        if not (isinstance(left, Stick) and isinstance(right, Stick)):
            needed = " and ".join(MEANINGS[name] for name in STICKS)
            raise CaptureError(
                f"{spec.id} has no two sticks with the meanings {needed}, as Bleeding Edge's files need"
            )
        buttons = {
            column: control.name
            for column, name in enumerate(BUTTONS[:-1])
            if isinstance(control := by_meaning.get(MEANINGS[name]), Button)
        }
        return cls(buttons, (left, right))

    def require_all(self, spec: GameSpec) -> None:
        """Raise `CaptureError` where the game has a control without a column."""
        mapped = {*self.buttons.values(), *(stick.name for stick in self.sticks)}
        if lacking := [control.name for control in spec.controls if control.name not in mapped]:
            raise CaptureError(
                f"Bleeding Edge's files have no column for {', '.join(lacking[:5])} of {spec.id}"
            )

    def row(self, action: Action) -> NDArray[np.float32]:
        """An action as the 16 numbers of a step, sticks as bucket indices."""
        row = np.zeros(COLUMNS, np.float32)
        for column, name in self.buttons.items():
            row[column] = action[name]
        cells = [from_polar(stick, tuple(action[stick.name])) for stick in self.sticks]
        row[len(BUTTONS) :] = np.ravel(cells)
        return row

    def is_exact(self, action: Action) -> bool:
        """Whether both sticks come back from their buckets as they are."""
        return all(
            to_polar(stick, from_polar(stick, tuple(action[stick.name])))
            == tuple(action[stick.name])
            for stick in self.sticks
        )

    def action(self, pressed: Sequence[bool], cells: Sequence[int]) -> Action:
        """A step's action: 12 buttons, and the buckets of left x, left y, right x, right y."""
        action: Action = {name: int(pressed[column]) for column, name in self.buttons.items()}
        for stick, cell in zip(self.sticks, (cells[:2], cells[2:]), strict=True):
            action[stick.name] = to_polar(stick, (cell[0], cell[1]))
        return action

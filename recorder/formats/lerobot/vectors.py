"""Action vectors: one column per button, axis or choice, two per camera or stick.

Text has no number: `words_of` gives what a row cannot hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games import Action, Camera, Control, GameSpec, Stick, Text


def column_names(spec: GameSpec) -> list[str]:
    return [name for control in spec.controls for name in _columns(control)]


def to_rows(spec: GameSpec, actions: Sequence[Action]) -> NDArray[np.float32]:
    """Actions as (T, D) float32 in the order of `column_names`."""
    numbers = [c for c in spec.controls if not isinstance(c, Text)]
    rows = np.empty((len(actions), len(column_names(spec))), np.float32)
    for row, action in zip(rows, actions, strict=True):
        row[:] = [
            part for c in numbers for part in (action[c.name] if _is_pair(c) else (action[c.name],))
        ]
    return rows


def from_rows(spec: GameSpec, rows: NDArray[np.float32]) -> list[Action]:
    """The inverse of `to_rows`, exact: every number is moved to the nearest level of its control."""
    cached: dict[bytes, Action] = {}
    actions = []
    for row in rows:
        key = row.tobytes()
        if key not in cached:
            cached[key] = _from_row(spec, row.tolist())
        actions.append(dict(cached[key]))
    return actions


def words_of(spec: GameSpec, action: Mapping[str, Any]) -> dict[str, str]:
    """The text an action types, by control."""
    texts = [c.name for c in spec.controls if isinstance(c, Text)]
    return {name: action[name] for name in texts if action[name]}


def _from_row(spec: GameSpec, row: list[float]) -> Action:
    action: Action = {}
    column = 0
    for control in spec.controls:
        width = len(_columns(control))
        values = row[column : column + width]
        column += width
        if width == 2:
            action[control.name] = (values[0], values[1])
        elif width == 1:
            action[control.name] = int(values[0]) if control.kind != "axis" else values[0]
    return spec.normalize(action)


def _columns(control: Control) -> list[str]:
    if isinstance(control, Camera):
        return [f"{control.name}.pitch_deg", f"{control.name}.yaw_deg"]
    if isinstance(control, Stick):
        return [f"{control.name}.angle_deg", f"{control.name}.magnitude"]
    return [] if isinstance(control, Text) else [control.name]


def _is_pair(control: Control) -> bool:
    return isinstance(control, (Camera, Stick))

"""Action rows: the lines of `actions.jsonl`, and those of format 1 read as of format 2."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from games import Action, ActionError, GameSpec
from recorder.format.manifest import (
    ACTIONS,
    CaptureError,
    OnError,
    iter_steps,
    raise_error,
)


class Step(NamedTuple):
    """One line of `actions.jsonl`, checked. Equal actions are one object, which is not to be changed."""

    action: Action
    executed: Action
    by: str
    observed: bool
    reward: float
    agent_action: Action | None = None
    """The agent's decision where a person had taken over; None elsewhere."""


def action_row(
    spec: GameSpec,
    i: int,
    action: Action,
    executed: Action | None,
    *,
    by: str,
    observed: bool,
    reward: float,
    agent_action: Action | None = None,
) -> dict[str, Any]:
    """The line of step `i`; all actions are legal ones, and `executed` is None where it is the same as `action`."""
    row = {
        "i": i,
        "action": non_null(spec, action),
        "executed": None if executed is None else non_null(spec, executed),
        "by": by,
        "observed": observed,
        "reward": reward,
    }
    return row if agent_action is None else {**row, "agent_action": non_null(spec, agent_action)}


def non_null(spec: GameSpec, action: Action) -> Action:
    """Only the controls that are not at rest."""
    return {c.name: action[c.name] for c in spec.controls if action[c.name] != c.null}


def read_steps(
    folder: Path, spec: GameSpec, actor: str, on_error: OnError = raise_error
) -> Iterator[Step]:
    """The steps of a capture, read as a stream; rows of format 1 have no `by`, which is then `actor`.

    A line that is no step of this game is passed to `on_error`, which raises it, and left out where that returns: no
    JSON, another step's number, an illegal action, a reward that is not finite.
    """
    path, reader = folder / ACTIONS, _StepReader(spec)
    for number, row in iter_steps(path, on_error):
        try:
            step = reader.read(as_format_2(row, actor))
        except CaptureError as error:
            on_error(CaptureError(f"{path}: line {number}: {error}"))
        else:
            yield step


def read_action_rows(folder: Path, actor: str) -> list[dict[str, Any]]:
    """The lines of a capture under the keys of format 2; raises `CaptureError` where one is no row of an action."""
    path, rows = folder / ACTIONS, []
    for number, row in iter_steps(path):
        rows.append(as_format_2(row, actor))
        if wrong := _wrong_key(rows[-1]):
            raise CaptureError(f"{path}: line {number}: {wrong}")
    return rows


def _wrong_key(row: dict[str, Any]) -> str:
    """The first key of a row of format 2 with a value of another kind than its own; empty where there is none."""
    for key, kind in _KINDS.items():
        if not isinstance(value := row.get(key, _DEFAULTS.get(key, "")), kind):
            return f"{key} is {value!r:.60}" if key in row else f"it has no {key}"
    return ""


_KINDS = {
    "action": dict,
    "executed": dict | None,
    "by": str,
    "observed": bool,
    "agent_action": dict | None,
}
_DEFAULTS = {"by": None, "observed": True, "agent_action": None}


def as_format_2(row: dict[str, Any], actor: str) -> dict[str, Any]:
    """A row under the keys of format 2. Format 1 had `human`, `agent` and `known`, whoever played."""
    if "human" not in row:
        return row
    return {
        "i": row.get("i"),
        "action": row["human"],
        "executed": row.get("agent", ""),
        "by": actor,
        "observed": row.get("known", True),
        "reward": row.get("reward", 0.0),
    }


class _StepReader:
    """Rows of format 2 as steps; each distinct action is checked once."""

    def __init__(self, spec: GameSpec) -> None:
        self._spec = spec
        self._null = spec.null_action()
        self._actions: dict[str, Action] = {}

    def read(self, row: dict[str, Any]) -> Step:
        """Raises `CaptureError` for a row that is no step of the game."""
        if wrong := _wrong_key(row):
            raise CaptureError(wrong)
        action = self._action("action", row["action"])
        other, advice = row["executed"], row.get("agent_action")
        return Step(
            action,
            action if other is None else self._action("executed action", other),
            sys.intern(row["by"]),
            row.get("observed", True),
            _reward(row.get("reward", 0.0)),
            None if advice is None else self._action("agent's action", advice),
        )

    def _action(self, name: str, values: dict[str, Any]) -> Action:
        """The complete action, with the pairs of cameras and sticks as tuples."""
        key = repr(values)
        if key not in self._actions:
            pairs = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            action = {**self._null, **pairs}
            _check_legal(self._spec, name, action)
            self._actions[key] = action
        return self._actions[key]


def _check_legal(spec: GameSpec, name: str, action: Action) -> None:
    """Raise `CaptureError` where an action is none of the game's."""
    try:
        is_legal = spec.normalize(action) == action
    except (ActionError, OverflowError) as error:
        raise CaptureError(f"{name}: {error}") from None
    if not is_legal:
        raise CaptureError(f"{name} {action} lies between the game's levels")


def _reward(value: Any) -> float:
    try:
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    except OverflowError:  # an integer beyond all floats
        pass
    raise CaptureError(f"reward {value!r:.40} is no finite number")

"""Action rows: the lines of `actions.jsonl`, and those of format 1 read as of format 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from games import Action, GameSpec
from recorder.format.manifest import ACTIONS, CaptureError, read_lines


def action_row(
    spec: GameSpec,
    i: int,
    action: Action,
    executed: Action | None,
    *,
    by: str,
    observed: bool,
    reward: float,
) -> dict[str, Any]:
    """The line of step `i`; both actions are legal ones, and `executed` is None where it is the same as `action`."""
    return {
        "i": i,
        "action": non_null(spec, action),
        "executed": None if executed is None else non_null(spec, executed),
        "by": by,
        "observed": observed,
        "reward": reward,
    }


def non_null(spec: GameSpec, action: Action) -> Action:
    """Only the controls that are not at rest."""
    return {c.name: action[c.name] for c in spec.controls if action[c.name] != c.null}


def read_action_rows(folder: Path, actor: str) -> list[dict[str, Any]]:
    """The lines of a capture; rows of format 1 have no `by`, which is then `actor`.

    Raises `CaptureError` where a line holds no action.
    """
    rows = [as_format_2(row, actor) for row in read_lines(folder / ACTIONS)]
    for number, row in enumerate(rows, start=1):
        if not (
            isinstance(row.get("action"), dict)
            and isinstance(row.get("executed", ""), dict | None)
            and isinstance(row.get("by"), str)
        ):
            raise CaptureError(f"{folder / ACTIONS}: line {number} has no action")
    return rows


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


def action_of(row: dict[str, Any], key: str, spec: GameSpec) -> Action:
    """The complete action under `action` or `executed`, with the pairs of cameras and sticks as tuples."""
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in row[key].items()}
    return {**spec.null_action(), **values}

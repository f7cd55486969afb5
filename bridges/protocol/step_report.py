"""Step report: the JSON of a picture, each field checked by itself and against the game's spec."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from bridges.protocol.fields import Message, ReportedAction, Reward
from bridges.protocol.messages import (
    Event,
    MessageError,
    parse_json,
)
from games import GameSpec
from games.controls import ActionError
from games.validation_error import first_error

MAX_STATE = 16 << 10
"""Bytes of `state` as compact JSON."""
MAX_PROBLEM = 300
"""Characters of a problem's text: it may repeat a value of the peer's."""
ACTIONS = ("executed", "input")
"""The fields that are actions."""


class StepReport(Message):
    """What happened in the step before a picture; each field is optional."""

    executed: ReportedAction | None = None
    """What the game did."""
    input: ReportedAction | None = None
    """What a person pressed; None where nobody did."""
    reward: Reward | None = None
    score: Reward | None = None
    state: dict[str, Any] | None = None
    """The game's state at the picture, of at most `MAX_STATE` bytes."""


NO_REPORT = StepReport()


def read_report(meta: bytes, spec: GameSpec) -> tuple[StepReport, list[MessageError]]:
    """The right fields of a picture's JSON, and a problem for each wrong one; unknown fields are ignored."""
    if not meta:
        return NO_REPORT, []
    try:
        value = parse_json(meta.decode())
    except UnicodeDecodeError:
        return NO_REPORT, [MessageError("a picture's JSON is UTF-8")]
    except MessageError as error:
        return NO_REPORT, [MessageError(f"a picture's JSON: {error}")]
    if not isinstance(value, dict):
        return NO_REPORT, [MessageError("a picture's JSON is an object")]
    return right_fields(value, spec)


def check_event(event: Event, spec: GameSpec) -> tuple[Event, list[MessageError]]:
    """The event with its actions completed, those that are wrong left out, and a problem for each of them."""
    actions = {name: getattr(event, name) for name in ACTIONS}
    report, problems = right_fields(actions, spec)
    return event.model_copy(update={name: getattr(report, name) for name in ACTIONS}), problems


def right_fields(values: dict[str, Any], spec: GameSpec) -> tuple[StepReport, list[MessageError]]:
    """As `read_report`, of values."""
    fields: dict[str, Any] = {}
    problems: list[MessageError] = []
    for name in (name for name in StepReport.model_fields if name in values):
        try:
            fields[name] = _checked(name, values[name], spec)
        except MessageError as problem:
            problems.append(problem)
    return StepReport.model_construct(**fields), problems


def _checked(name: str, value: Any, spec: GameSpec) -> Any:
    """A field's value, actions completed and on their bins; raises `MessageError`."""
    try:
        value = getattr(StepReport.model_validate({name: value}), name)
        if name in ACTIONS and value is not None:
            return spec.normalize(value)
    except ValidationError as error:
        first = first_error(error)
        path = ".".join(first.path)
        raise MessageError(f"{path}: {first.message}"[:MAX_PROBLEM], path[:MAX_PROBLEM]) from None
    except ActionError as error:
        raise MessageError(f"{name}: {error}"[:MAX_PROBLEM], name) from None
    if name == "state":
        _check_state(value)
    return value


def _check_state(state: dict[str, Any] | None) -> None:
    """Raises `MessageError` where it is too large, or no JSON."""
    try:
        text = json.dumps(state, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise MessageError(f"state: {error}"[:MAX_PROBLEM], "state") from None
    if size > MAX_STATE:
        raise MessageError(f"state: at most {MAX_STATE} bytes of JSON, got {size}", "state")

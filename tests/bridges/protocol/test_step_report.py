"""Step report: right fields stay, each wrong one is named, and everything is bounded."""

import json
from typing import Any

import pytest

from bridges.protocol.fields import MAX_REWARD
from bridges.protocol.messages import Event
from bridges.protocol.step_report import (
    MAX_PROBLEM,
    MAX_STATE,
    NO_REPORT,
    StepReport,
    check_event,
    read_report,
    right_fields,
)
from games.voxel import SPEC

JUMP = {**SPEC.null_action(), "jump": 1}


def read(value: object) -> tuple[StepReport, list[str]]:
    """What is right in a JSON value, and the paths of what is not."""
    report, problems = read_report(json.dumps(value).encode(), SPEC)
    return report, [problem.path for problem in problems]


def test_actions_are_completed_and_moved_to_the_specs_bins() -> None:
    report, wrong = read({"executed": {"camera": [0.2, 9.3], "jump": True}, "input": {}})
    assert not wrong
    assert report.executed == {**JUMP, "camera": (0.0, 9.0)}
    assert report.input == SPEC.null_action()


def test_the_rest_rides_along_and_missing_or_null_is_none() -> None:
    report, wrong = read(
        {"reward": 1, "score": -2.5, "state": {"at": [1, 2]}, "input": None, "x": 1}
    )
    assert not wrong
    assert report == StepReport(reward=1, score=-2.5, state={"at": [1, 2]})
    assert read_report(b"", SPEC) == (NO_REPORT, [])


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("executed", {"jmp": 1}, "executed"),
        ("executed", {"jump": 2}, "executed"),
        ("executed", {"forward": 1, "back": 1}, "executed"),
        ("executed", {"x" * 49: 1}, "executed"),
        ("executed", {f"k{n}": 1 for n in range(257)}, "executed"),
        ("input", ["jump"], "input"),
        ("input", {"camera": [10**400, 0]}, "input"),
        ("reward", "much", "reward"),
        ("reward", 2 * MAX_REWARD, "reward"),
        ("score", -2 * MAX_REWARD, "score"),
        ("state", [1], "state"),
        ("state", {"x": "y" * MAX_STATE}, "state"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_wrong_field_is_named_and_the_others_count(field: str, value: Any, path: str) -> None:
    others = {"reward": 1.5, "input": {"jump": 1}}
    report, wrong = read({**others, field: value})
    assert [name.partition(".")[0] for name in wrong] == [path]
    assert getattr(report, field) is None
    expected = {"reward": 1.5, "input": JUMP} | {field: None}
    assert {name: getattr(report, name) for name in expected} == expected


@pytest.mark.parametrize("meta", [b"{", b"[]", b"\xff", b'{"reward":NaN}', b"[" * 40, b'"\\ud800"'])
def test_what_is_no_object_is_one_problem(meta: bytes) -> None:
    report, problems = read_report(meta, SPEC)
    assert report == NO_REPORT
    assert [problem.path for problem in problems] == [""]


def test_a_problem_is_short_whatever_was_sent() -> None:
    _, (problem,) = read_report(json.dumps({"executed": {"jump": "x" * 60_000}}).encode(), SPEC)
    assert len(str(problem)) == MAX_PROBLEM


def test_an_event_keeps_what_is_right() -> None:
    event = Event(terminated=True, executed={"jump": 1}, input={"jmp": 1})
    checked, (problem,) = check_event(event, SPEC)
    assert (checked.terminated, checked.executed, checked.input) == (True, JUMP, None)
    assert problem.path == "input"
    assert "did you mean 'jump'" in str(problem)


@pytest.mark.parametrize(
    "value", [object(), float("inf"), "\ud800", b"bytes"], ids=lambda value: type(value).__name__
)
def test_a_client_hears_which_state_is_no_json(value: object) -> None:
    report, (problem,) = right_fields({"state": {"x": value}, "reward": 1}, SPEC)
    assert (problem.path, report.state, report.reward) == ("state", None, 1)

"""Output of the commands: text from outside is text, nothing is wrapped away from a terminal."""

import json
from pathlib import Path

import pytest

from agent_core.cli import output

MARKUP = "climb [/x] [bold]:smile: {0} %s"


def test_lines_and_cells_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.say(MARKUP)
    output.remark(MARKUP)
    output.table((MARKUP,), [(MARKUP,)], title=MARKUP)
    output.fields({MARKUP: MARKUP})
    out, err = capsys.readouterr()
    assert out.count(MARKUP) == 6
    assert err == MARKUP + "\n"


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 100
    output.say(long)
    output.table(("a", "b"), [(long, long)])
    assert capsys.readouterr().out.count(long.strip()) == 3


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("a\x1b[2Jb\x9bc\td")
    output.table(("\u00e4",), [("a\x1b[2J",)])
    text = capsys.readouterr().out
    assert text.startswith("a\\x1b[2Jb\\x9bc\td\n")
    assert "\x1b" not in text


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"best": float("nan"), "run": Path("runs/x"), "counts": (1, [2.5, None])}
    output.answer(value, True, lambda: pytest.fail("asked for JSON"))
    expected = {"best": None, "run": "runs/x", "counts": [1, [2.5, None]]}
    assert json.loads(capsys.readouterr().out) == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (True, "yes"),
        (12345, "12,345"),
        (0.123456, "0.1235"),
        (1234.5, "1,234"),
        ([], "–"),
        (["a", 2], "a, 2"),
        ({"p50": 1.5, "p95": 2.0}, "p50 1.5, p95 2"),
    ],
)
def test_fields_for_people(value: object, shown: str) -> None:
    assert output.plain(value) == shown


def test_records_have_a_column_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    output.records([{"task": "dig", "success": None}, {"task": "[/x]", "success": 0.5}])
    lines = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
    assert cells == [["dig", "–"], ["[/x]", "0.5"]]

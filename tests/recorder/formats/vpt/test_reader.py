"""Rows of recordings: what cannot be read is skipped and named, the others are imported."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder import CaptureError
from recorder.formats.vpt import reader
from recorder.formats.vpt.reader import rows, scan

Row = Callable[..., dict[str, Any]]


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    mouse = {k: v for k, v in values["mouse"].items() if k not in names}
    return {k: v for k, v in (values | {"mouse": mouse}).items() if k not in names}


def broken_lines(row: Row) -> list[tuple[str, str]]:
    """Lines that are no tick, and the reason that is named."""
    return [
        ("null", "Input should be an object"),
        ("{", "Invalid JSON"),
        (json.dumps(row())[:-40], "Invalid JSON"),
        ("[]", "Input should be an object"),
        (json.dumps(without(row(), "keyboard")), "Field required at keyboard"),
        (json.dumps(row(mouse=None)), "object at mouse"),
        (json.dumps(row(dx=float("nan"))), "finite number at mouse.dx"),
        (json.dumps(row(dy=float("inf"))), "finite number at mouse.dy"),
        (json.dumps(row(milli=float("nan"))), "finite number at milli"),
        (json.dumps(row(tick="5")), "valid integer at tick"),
        (json.dumps(row(tick=-1)), "greater than or equal to 0 at tick"),
        (json.dumps(row(dx=1e300)), "less than or equal to 1000000 at mouse.dx"),
        (json.dumps(row(dx=1)).replace('"dx": 1', f'"dx": 1{"0" * 4000}'), "mouse.dx"),
        (json.dumps(row(x="left")), "valid number at mouse.x"),
        (json.dumps(row(hotbar=9)), "less than or equal to 8 at hotbar"),
        (json.dumps(row(hotbar=True)), "valid integer at hotbar"),
        (json.dumps(row(buttons=3)), "valid (array|tuple) at mouse.buttons"),
        (json.dumps(row(isGuiOpen=1)), "valid boolean at isGuiOpen"),
        ("[" * 100_000, "recursion"),
        ('"' + "x" * (3 << 20), "longer than 1048576 bytes"),
        ("\0\udcff", "Invalid JSON"),
    ]


def test_a_broken_line_is_named_and_hinders_no_other(made: Any, row: Row, tick: Row) -> None:
    broken = broken_lines(row)
    lines: list[Any] = [tick(t) for t in range(60)]
    for k, (line, _) in enumerate(broken):
        lines[2 + 2 * k] = line
    made.add(lines)
    report = made.load()
    assert (report.added, report.dropped) == (1, len(broken))
    lost = range(2, 2 + 2 * len(broken), 2)
    assert made.pairs() == [(t, t) for t in range(60) if t not in lost]
    named = report.skipped[: reader.MAX_UNREADABLE]
    assert [skipped.source for skipped in named] == [f"a, line {t + 1}" for t in lost[: len(named)]]
    for skipped, (_, why) in zip(named, broken, strict=False):
        assert re.search(why, skipped.why)
        assert "\n" not in skipped.why
        assert len(skipped.why) < 400
    (summary,) = report.skipped[reader.MAX_UNREADABLE :]
    assert summary.why == "1 further lines cannot be read"


def test_strict_stops_at_a_broken_line(made: Any, tick: Row) -> None:
    made.add([tick(0), "null", tick(2)])
    with pytest.raises(CaptureError, match=r"a, line 2: Input should be an object"):
        made.load(strict=True)
    assert not made.out.exists()


def test_a_byte_order_mark_and_empty_lines(made: Any, tick: Row) -> None:
    made.add([b"\xef\xbb\xbf" + json.dumps(tick(0)).encode(), "", tick(1), "\r"], np.arange(2) / 20)
    report = made.load()
    assert (report.dropped, report.skipped, made.pairs()) == (0, (), [(0, 0), (1, 1)])


def test_a_torn_last_line(made: Any, tick: Row) -> None:
    path = made.add([tick(t, 7000 + 90 * t) for t in range(5)])
    path.write_bytes(path.read_bytes()[:-40])
    assert scan(path).clocks.is_torn
    report = made.load()
    assert (report.dropped, made.pairs()) == (1, [(t, t) for t in range(4)])
    assert [(s.source, s.why) for s in report.skipped] == [("a, line 5", "it is torn off")]


def test_two_torn_lines_in_one_shift_no_other(made: Any, tick: Row) -> None:
    lines = [json.dumps(tick(t)) for t in range(20)]
    made.add([*lines[:7], lines[7][:50] + lines[8], *lines[9:]], np.arange(20) / 20)
    assert made.load().dropped == 2  # the line, and the second tick in it
    assert made.pairs() == [(t, t) for t in range(20) if t not in (7, 8)]


@pytest.mark.parametrize(
    "lacking", [("hotbar",), ("x", "y"), ("newButtons",), ("isGuiOpen",), ("milli",), ("tick",)]
)
def test_fields_that_may_be_missing(made: Any, tick: Row, lacking: tuple[str, ...]) -> None:
    made.add([without(tick(t), *lacking) for t in range(20)])
    report = made.load()
    assert (report.dropped, report.skipped) == (0, ())
    assert made.pairs() == [(t, t) for t in range(20)]


def test_a_file_without_a_tick_and_one_too_long(
    made: Any, tick: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made.add(["null", "7"], name="none")
    made.add([tick(t) for t in range(4)], name="long")
    (made.folder / "empty.jsonl").write_text("\n")
    shortest = (made.folder / "none.mp4").read_bytes()
    (made.folder / "empty.mp4").write_bytes(shortest)
    monkeypatch.setattr(reader, "MAX_ROWS", 3)
    report = made.load()
    reasons = {skipped.source: skipped.why for skipped in report.skipped}
    assert report.added == 0
    assert reasons["none"] == reasons["empty"] == "it has no line that can be read"
    assert "more than 3 lines" in reasons["long"]
    with pytest.raises(CaptureError, match="cannot be read"):
        list(rows(tmp_path / "nothing.jsonl"))

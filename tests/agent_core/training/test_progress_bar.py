"""Progress bar: lines where there is no terminal, text as it is where there is one."""

from __future__ import annotations

import pytest

from agent_core.training.progress_bar import ProgressBar


def test_without_a_terminal_a_line_comes_every_ten_seconds() -> None:
    now = [0.0]
    lines: list[str] = []
    with ProgressBar(
        "recording", terminal=False, write=lines.append, clock=lambda: now[0]
    ) as update:
        for second in range(25):
            now[0] = float(second)
            update(second, 100)
    assert lines == ["recording: 10 of 100", "recording: 20 of 100"]


def test_fractions_are_per_cent_and_a_note_follows() -> None:
    now = [0.0]
    lines: list[str] = []
    with ProgressBar("training", terminal=False, write=lines.append, clock=lambda: now[0]) as bar:
        now[0] = 10.0
        bar(0.35, 1.0, "step 70")
    assert lines == ["training: 35 % step 70"]


def test_a_hidden_bar_says_nothing() -> None:
    now = [0.0]
    lines: list[str] = []
    with ProgressBar(
        "x", shown=False, terminal=False, write=lines.append, clock=lambda: now[0]
    ) as update:
        now[0] = 60.0
        update(1, 2)
    assert lines == []


def test_on_a_terminal_labels_and_notes_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("climb [/x]", terminal=True) as update:
        update(1, 2, "[/b] note")
    assert "climb [/x]" in (error := capsys.readouterr().err)
    assert "[/b] note" in error

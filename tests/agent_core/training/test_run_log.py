"""Run log: torn lines, resumption, a full disk."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tensorboard.summary.writer.record_writer import RecordWriter

from agent_core.training.run_log import LOG, PLOT, RunLog, draw_curves, read_log


def test_rows_after_the_resumed_step_are_dropped(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for step in range(1, 5):
            log.write(step, "train", {"action": 1 / step})
    with (tmp_path / LOG).open("a") as file:
        file.write('{"step": 5, "par')
    with RunLog(tmp_path, step=2) as log:
        log.write(3, "validation", {"action": 0.25})
    assert [(row["step"], row["split"]) for row in read_log(tmp_path)] == [
        (1, "train"),
        (2, "train"),
        (3, "validation"),
    ]
    draw_curves(tmp_path)
    assert (tmp_path / PLOT).read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_what_could_not_be_measured_is_null_and_not_drawn(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for step in (1, 2):
            log.write(step, "validation", {"exact_match": 0.5, "exact_match_swapped": None})
    assert '"exact_match_swapped": null' in (tmp_path / LOG).read_text()
    draw_curves(tmp_path)
    assert (tmp_path / PLOT).read_bytes().startswith(b"\x89PNG")


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert read_log(tmp_path) == []


def test_a_full_disk_is_raised_where_it_is_handled_and_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    printed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)
    with RunLog(tmp_path) as log:
        log.write(1, "train", {"loss": 2.0})
    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(OSError, match="No space left"), RunLog(tmp_path, 1) as log:
        log.write(2, "train", {"loss": 1.0})
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("tensorboard."):
            thread.join(60)
    assert not printed
    assert [row["step"] for row in read_log(tmp_path)] == [1]


def test_rows_stay_where_the_disk_takes_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunLog(tmp_path) as log:
        log.write(1, "train", {"loss": 2.0})
    before = read_log(tmp_path)

    def full(path: Path, text: str, **_: object) -> None:
        path.write_bytes(text.encode()[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        RunLog(tmp_path, 1)
    assert read_log(tmp_path) == before

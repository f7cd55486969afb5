"""Does a run's log survive a torn line and a resumption?"""

from __future__ import annotations

from pathlib import Path

from agent_core.curves import LOG, PICTURE, RunLog, draw_curves, read_log


def test_rows_after_the_resumed_step_are_dropped(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for step in range(1, 5):
            log.write(step, "train", {"action": 1 / step})
    with (tmp_path / LOG).open("a") as file:
        file.write('{"step": 5, "par')
    with RunLog(tmp_path, step=2) as log:
        log.write(3, "validation", {"action": 0.25})
    assert [(row["step"], row["part"]) for row in read_log(tmp_path)] == [
        (1, "train"),
        (2, "train"),
        (3, "validation"),
    ]
    draw_curves(tmp_path)
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert read_log(tmp_path) == []

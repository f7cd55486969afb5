"""Crash benchmark: it sees what is lost, and kills and scenarios lose nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent_core.__main__ import main
from agent_core.bench.crash.comparison import losses
from agent_core.bench.crash.game import action_of, frame_of, number_in, spec_of
from recorder import CaptureInfo, CaptureWriter


def record(out: Path, numbers: list[int]) -> tuple[CaptureWriter, list[dict[str, Any]]]:
    """A capture of frames with these numbers, and the log of a game that recorded it."""
    capture = CaptureWriter.create(out, spec_of(), CaptureInfo(), disk_needed=0)
    log: list[dict[str, Any]] = [{"capture": capture.folder.name}]
    for number in numbers:
        capture.step(frame_of(number), action_of(number))
        capture.event("note", number=number)
        capture.text(style="thought", text=str(number), i0=capture.steps - 1)
        log += [{"step": number, "dropped": 0}, {"event": number}, {"text": number}]
    return capture, log


def test_a_picture_shows_its_number() -> None:
    for number in (0, 1, 255, 256, 0x5A5A, 0xFFFF):
        assert number_in(frame_of(number)) == number


def test_what_was_accepted_and_is_not_there_is_seen(tmp_path: Path) -> None:
    capture, log = record(tmp_path, list(range(20)))
    capture.close()
    assert losses(tmp_path, log).none_beyond(0)
    more: list[dict[str, Any]] = [
        {"step": 20, "dropped": 0},
        {"step": 21, "dropped": 0},
        {"event": 99},
        {"text": 99},
    ]
    seen = losses(tmp_path, log + more)
    assert (seen.frames, seen.events, seen.texts, seen.wrong) == (2, 1, 1, [])
    gone: list[dict[str, Any]] = [
        {"capture": "20260101T000000_crash_01234567"},
        {"step": 0, "dropped": 0},
    ]
    assert losses(tmp_path, log + gone).episodes == 1


def test_what_stands_beside_something_else_is_seen(tmp_path: Path) -> None:
    capture, log = record(tmp_path, [0, 1, 2, 5, 6])
    capture.step(frame_of(7), action_of(8))
    capture.text(style="thought", text="0", i0=3)
    capture.close()
    wrong = losses(tmp_path, log).wrong
    assert len(wrong) == 3
    assert "step 5 has frame 7 and another's action" in wrong[0]
    assert "2 frames are missing, 0 are counted" in wrong[1]
    assert "text 0 is at 3, not 0" in wrong[2]


def bench(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["bench", "crash", "--seed", "4", "--json", *options]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


@pytest.mark.slow
def test_kills_lose_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    report = bench(capsys, "--scenarios", "kill", "--kills", "4")
    assert set(report["victims"]) == {"game", "recording process", "both", "writer"}
    assert report["frames_lost_max"] <= 1
    assert report["steps"] > 0
    assert [report[name] for name in ("events_lost", "texts_lost", "episodes_lost")] == [0, 0, 0]
    assert report["failed"] == []


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["disk", "sigstop", "encoder", "signal", "import"])
def test_scenarios_lose_nothing(capsys: pytest.CaptureFixture[str], scenario: str) -> None:
    report = bench(capsys, "--scenarios", scenario)
    assert (report["kills"], report["failed"]) == (0, [])
    assert report["scenarios"] >= 1

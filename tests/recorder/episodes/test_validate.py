"""Validation: an intact capture has no problems, those of a damaged one are named."""

import json
from pathlib import Path

import numpy as np
import pytest

from games.voxel import SPEC
from recorder import CaptureError, CaptureInfo, CaptureWriter, open_episodes, validate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo(seed=1)) as capture:
        for i in range(8):
            capture.step(np.full(SPEC.frame.shape, 20 * i, np.uint8), {"forward": 1})
        capture.text(style="caption", text="walks", i0=0, i1=8)
    return capture.folder


def rewrite(path: Path, number: int, **values: object) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[number] |= values
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_whole_capture_has_no_problems(folder: Path) -> None:
    assert validate(folder) == []
    assert validate(open_episodes(folder)[0]) == []


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("actions.jsonl", {"action": {"fly": 1}}, "no control called 'fly'"),
        ("actions.jsonl", {"action": {"camera": [0, 1]}}, "between the game's levels"),
        ("actions.jsonl", {"executed": {"forward": 1, "back": 1}}, "exclude each other"),
        ("actions.jsonl", {"i": 9}, "line 6 is about step 9, not 5"),
        ("frames.jsonl", {"t_ns": 0}, "runs backwards"),
    ],
)
def test_a_wrong_line_is_named(
    folder: Path, name: str, values: dict[str, object], problem: str
) -> None:
    rewrite(folder / name, 5, **values)
    assert any(problem in line for line in validate(folder))


def test_missing_steps_are_named(folder: Path) -> None:
    path = folder / "actions.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:6]))
    assert any("6 lines for 8 steps" in line for line in validate(folder))
    with pytest.raises(CaptureError, match="6 actions for 8 steps"):
        _ = open_episodes(folder)[0].actions


def test_a_longer_video_is_named(folder: Path) -> None:
    rewrite(folder / "manifest.json", 0, steps=7)
    assert any("8 frames for 7 steps" in line for line in validate(folder))


def test_texts_must_be_about_steps_that_exist(folder: Path) -> None:
    rewrite(folder / "text.jsonl", 0, i1=20, supersedes=4)
    problems = validate(folder)
    assert len(problems) == 2
    rewrite(folder / "text.jsonl", 0, style="shout")
    assert any("text.jsonl" in line for line in validate(folder))


def test_one_still_recording_says_so(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        assert "not closed" in validate(capture.folder)[0]

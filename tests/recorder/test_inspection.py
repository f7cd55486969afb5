"""Inspection: every capture under a folder has a row, whatever state it is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    export_lerobot,
    inspect_captures,
    open_episodes,
    validate,
)
from recorder.capture.spool import Spool
from tests.recorder.damaged_captures import SPEC, STEPS, change, record, replace_line, spoil_picture

DEAD_WRITER = """
import os, sys
import numpy as np
from recorder import CaptureInfo, CaptureWriter
from tests.recorder.damaged_captures import SPEC
for steps in (3, 0):
    capture = CaptureWriter.create(__import__("pathlib").Path(sys.argv[1]), SPEC, CaptureInfo(), disk_needed=0)
    for i in range(steps):
        capture.step(np.zeros(SPEC.frame.shape, np.uint8), {})
    print(capture.folder.name)
sys.stdout.flush()
os._exit(1)
"""


def test_each_state_is_named(tmp_path: Path) -> None:
    whole, torn, gone, spoiled = (record(tmp_path, seed) for seed in range(4))
    replace_line(torn, "actions.jsonl", 2, b"null\n")
    (gone / "manifest.json").unlink()
    spoil_picture(spoiled)
    empty = record(tmp_path, 5, steps=0)
    root = Path(__file__).parents[2]
    dead = subprocess.run(
        [sys.executable, "-c", DEAD_WRITER, str(tmp_path)],
        capture_output=True, text=True, cwd=root, check=False, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    left_open, unbegun = dead.stdout.split()
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo(), disk_needed=0) as capture:
        calls: list[tuple[int, int]] = []
        inspected = inspect_captures(tmp_path, progress=lambda *done: calls.append(done))
        rows = {row.name: row for row in inspected}
        first = next(row for row in rows.values() if row.problems)
        with pytest.raises(CaptureError, match=f"^{first.name}: ") as caught:
            inspect_captures(tmp_path, strict=True)
    assert len(rows) == 8
    assert first.problems[0] in str(caught.value)
    assert calls[-1] == (8, 8)
    assert rows[whole.name].problems == ()
    assert rows[whole.name].steps == STEPS
    assert "line 3 is no JSON object" in rows[torn.name].problems[0]
    assert "no manifest.json" in rows[gone.name].problems[0]
    assert "main.mp4" in rows[spoiled.name].problems[0]
    assert rows[empty.name].problems == ("it has no step and can be deleted",)
    assert rows[left_open].problems == ("left open: run `iafm episodes recover`",)
    assert rows[left_open].steps == 3
    assert "can be deleted" in rows[unbegun].problems[0]
    assert rows[capture.folder.name].is_being_written
    assert rows[capture.folder.name].problems == ()


def test_a_capture_a_dataset_and_nothing(tmp_path: Path) -> None:
    captures, dataset = tmp_path / "captures", tmp_path / "dataset"
    folder = record(captures, 0)
    assert [row.steps for row in inspect_captures(folder)] == [STEPS]
    export_lerobot(open_episodes(captures), dataset)
    assert [(row.name, row.problems) for row in inspect_captures(dataset)] == [(folder.name, ())]
    (dataset / "meta/iafm/episodes.jsonl").write_text("null\n")
    (row,) = inspect_captures(dataset)
    assert (row.name, len(row.problems)) == ("dataset, episode 0", 1)
    (tmp_path / "other").mkdir()
    with pytest.raises(CaptureError, match="no episodes in"):
        inspect_captures(tmp_path / "other")


def test_dropped_steps_are_counted_and_no_problem(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo(), disk_needed=0) as capture:
        for lost in (0, 4, 0):
            capture.count_dropped(lost)
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), {})
        capture.count_dropped(2)
    (row,) = inspect_captures(tmp_path)
    assert (row.problems, row.dropped, row.steps) == ((), 6, 3)


def test_many_problems_of_one_track_are_counted(tmp_path: Path) -> None:
    folder = record(tmp_path, 0, steps=30)
    for line in range(25):
        change(folder, "actions.jsonl", line, action={"fly": 1})
    problems = validate(folder)
    assert len(problems) == 11
    assert problems[-1] == "and 15 more problems of this kind"


def test_each_track_is_read_to_its_end(tmp_path: Path) -> None:
    """A problem of one track hides none of another."""
    folder = record(tmp_path, 0)
    replace_line(folder, "actions.jsonl", 1, b"{\n")
    rows = (folder / "actions.jsonl").read_bytes().splitlines(keepends=True)
    rows[4] = b'{"i":4,"action":{},"executed":null,"by":"human","observed":true,"reward":1e999}\n'
    (folder / "actions.jsonl").write_bytes(b"".join(rows))
    change(folder, "frames.jsonl", 3, t_ns=0)
    change(folder, "text.jsonl", 0, i1=99)
    (folder / "events.jsonl").write_text('{"kind": 1}\nnull\n')
    spoil_picture(folder)
    problems = "\n".join(validate(folder))
    for part in (
        "line 2 is no JSON", "line 5: reward inf", "time runs backwards", "text 0 is about steps",
        "events.jsonl: line 2 is no JSON object", "main.mp4",
    ):  # fmt: skip
        assert part in problems
    assert "is about step 2" not in problems  # the damaged line stands for step 1


def test_steps_in_the_spool_count(tmp_path: Path) -> None:
    """A recording process that was killed before it wrote anything leaves steps that `recover` completes."""
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo(), disk_needed=0) as capture:
        manifest = json.loads((capture.folder / "manifest.json").read_text())
    (capture.folder / "manifest.json").write_text(json.dumps({**manifest, "writer": 2**22 + 1}))
    spool = Spool.create(capture.folder, SPEC.frame.shape, 4)
    assert "can be deleted" in inspect_captures(tmp_path)[0].problems[0]
    step: dict[str, Any] = {
        "action": {},
        "executed": None,
        "by": None,
        "reward": 0.0,
        "t_ns": 1,
        "observed": True,
    }
    spool.put(np.zeros(SPEC.frame.shape, np.uint8), {**step, "dropped": 0})
    spool.close()
    (row,) = inspect_captures(tmp_path)
    assert (row.problems, row.steps) == (("left open: run `iafm episodes recover`",), 1)

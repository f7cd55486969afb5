"""Capture writer: what is written is read back, also after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from games import Frame
from games.voxel import SPEC
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    DiskFullError,
    EpisodeSet,
    open_episodes,
    recover,
    validate,
)
from recorder.format.manifest import read_lines, read_manifest, write_manifest
from tests.recorder.full_disk import file_size_limit


def frame_of(i: int) -> Frame:
    """A frame whose brightness tells its number."""
    return np.full(SPEC.frame.shape, 10 + 8 * (i % 28), np.uint8)


def record(root: Path, steps: int = 12, seed: int = 0, **info: Any) -> Path:
    with CaptureWriter.create(
        root, SPEC, CaptureInfo(seed=seed, instruction="chop a tree", **info)
    ) as capture:
        for i in range(steps):
            if i in (0, 5):
                capture.text(style="thought", text=f"thought {i}", source="teacher")
            wanted = {"forward": 1, "camera": (0, 9.0)}
            capture.step(
                frame_of(i),
                wanted,
                executed={"jump": 1} if i == 3 else None,
                reward=float(i == 11),
            )
        capture.close(success=True)
    return capture.folder


def test_steps_come_back(tmp_path: Path) -> None:
    record(tmp_path, task="chop_tree")
    (episode,) = open_episodes(tmp_path)
    assert len(episode) == 12
    assert episode.header.success
    assert episode.actions[3] == SPEC.normalize({"forward": 1, "camera": (0, 9.0)})
    assert episode.executed[3] == SPEC.normalize({"jump": 1})
    assert episode.executed[4] == episode.actions[4]
    assert episode.thoughts[4:6] == ["thought 0", "thought 5"]
    assert episode.rewards[-1] == 1.0
    frames = episode.frames()
    assert frames.shape == (12, *SPEC.frame.shape)
    for i, frame in enumerate(frames):
        assert abs(int(frame.mean()) - int(frame_of(i).mean())) <= 3


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from games import Frame
from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter
capture = CaptureWriter.create(Path(sys.argv[1]), SPEC, CaptureInfo(seed=1))
for i in range(100000):
    capture.step(np.full(SPEC.frame.shape, i % 200, np.uint8), {"forward": 1})
    print(i, flush=True)
    time.sleep(0.002)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_kill_9_loses_nothing_that_was_written(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= 40:
                break
        child.send_signal(signal.SIGKILL)
        written = int(([line, *child.stdout.read().split()])[-1]) + 1
    with pytest.raises(CaptureError, match="iafm episodes recover"):
        open_episodes(tmp_path)
    (report,) = recover(tmp_path)
    assert report.outcome == "recovered"
    assert written <= report.steps <= written + 1
    assert recover(tmp_path) == []
    (episode,) = open_episodes(tmp_path)
    assert len(episode) == len(episode.frames()) == len(episode.actions) == report.steps


def test_a_capture_under_way_is_left_alone(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        capture.step(frame_of(0), {})
        assert [r.outcome for r in recover(tmp_path)] == ["still recording"]


def test_garbage_gets_one_clear_line(tmp_path: Path) -> None:
    folder = record(tmp_path)
    (tmp_path / "20200101T000000_voxel_deadbeef").mkdir()
    assert "no manifest.json" in recover(tmp_path)[0].outcome
    (folder / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(CaptureError, match=r"manifest\.json"):
        open_episodes(tmp_path)
    manifest = tmp_path / "20200101T000000_voxel_deadbeef" / "manifest.json"
    manifest.write_text("{")
    assert any("damaged" in r.outcome for r in recover(tmp_path))


def test_wrong_frames_and_full_disks_are_refused(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        with pytest.raises(CaptureError, match="uint8 frames"):
            capture.step(np.zeros((72, 128, 4), np.uint8), {})
        capture.step(frame_of(0), {})
    with pytest.raises(CaptureError, match="GB free"):
        CaptureWriter.create(tmp_path, SPEC, CaptureInfo(), disk_needed=1 << 60)
    assert isinstance(open_episodes(tmp_path), EpisodeSet)


def test_every_step_is_on_disk_at_once(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        for i in range(3):
            capture.step(frame_of(i), {"jump": 1})
            rows = (capture.folder / "actions.jsonl").read_text().splitlines()
            assert len(rows) == i + 1
            assert json.loads(rows[-1])["action"] == {"jump": 1}


def test_an_exception_closes_what_was_recorded(tmp_path: Path) -> None:
    def play() -> None:
        with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
            capture.step(frame_of(0), {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play()
    (episode,) = open_episodes(tmp_path)
    assert (episode.manifest.status, len(episode)) == ("interrupted", 1)


def test_a_full_disk_pauses_and_the_gap_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 10**12
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        for i in range(60):
            free = 10 if 20 <= i < 40 else 10**12
            capture.step(frame_of(i), {"jump": i % 2})
        assert (capture.steps, capture.dropped) == (40, 20)
    (episode,) = open_episodes(tmp_path)
    assert episode.dropped_before == {20: 20}
    kinds = [e["kind"] for e in read_lines(capture.folder / "events.jsonl")]
    assert kinds == ["paused", "resumed"]
    assert abs(int(episode.frames(20, 21).mean()) - int(frame_of(40).mean())) <= 3


@pytest.mark.parametrize("name", ["video/main.mp4", "actions.jsonl"])
def test_a_step_is_written_whole_or_not_at_all(tmp_path: Path, name: str) -> None:
    """The disk fills up in one of the files in the middle of a step; later there is room again."""
    by = "x" * 3000 if name == "actions.jsonl" else None  # then it is the largest of the files
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        for i in range(4):
            capture.step(frame_of(i), {"jump": i % 2}, by=by)
        sizes = {p: p.stat().st_size for p in capture.folder.rglob("*") if p.is_file()}
        with (
            file_size_limit(sizes[capture.folder / name] + 20),
            pytest.raises(DiskFullError, match="the disk is full, make room first"),
        ):
            capture.step(frame_of(9), {"jump": 1}, by=by)
        assert {p: p.stat().st_size for p in sizes} == sizes
        assert capture.steps == 4
        for i in range(4, 8):
            capture.step(frame_of(i), {"jump": i % 2}, by=by)
    (episode,) = open_episodes(tmp_path)
    assert [a["jump"] for a in episode.actions] == [0, 1] * 4
    greys = [int(frame.mean()) for frame in episode.frames()]
    assert greys == pytest.approx([int(frame_of(i).mean()) for i in range(8)], abs=3)
    assert validate(episode) == []


def test_a_text_or_event_that_is_not_stored_raises(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        capture.text(style="thought", text="first")
        with (
            file_size_limit((capture.folder / "text.jsonl").stat().st_size + 20),
            pytest.raises(DiskFullError),
        ):
            capture.text(style="thought", text="second")
        with file_size_limit(100), pytest.raises(DiskFullError):
            capture.event("key", code="x" * 1000)
        assert capture.text(style="thought", text="third") == 1
    rows = read_lines(capture.folder / "text.jsonl")
    assert [(row["id"], row["text"]) for row in rows] == [(0, "first"), (1, "third")]
    assert read_lines(capture.folder / "events.jsonl") == []


def test_a_capture_that_cannot_be_finished_is_finished_later(tmp_path: Path) -> None:
    """The finished video has no room beside the growing one: nothing is lost, by a second try or by `recover`."""
    captures = []
    for _ in range(2):
        capture = CaptureWriter.create(tmp_path, SPEC, CaptureInfo())
        for i in range(30):
            capture.step(frame_of(i), {})
        with file_size_limit(4000), pytest.raises(DiskFullError):
            capture.close(success=True)
        assert read_manifest(capture.folder).status == "recording"
        assert not list(capture.folder.rglob("*.draft"))
        captures.append(capture)
    captures[0].close(success=True)
    manifest = read_manifest(captures[1].folder)
    write_manifest(captures[1].folder, manifest.model_copy(update={"writer": 0}))
    assert [report.outcome for report in recover(tmp_path)] == ["recovered"]
    for capture, status in zip(captures, ("closed", "recovered"), strict=True):
        (episode,) = open_episodes(capture.folder)
        assert (episode.manifest.status, len(episode)) == (status, 30)
        assert validate(episode) == []


def test_a_disk_without_room_for_a_manifest_leaves_no_folder(tmp_path: Path) -> None:
    with file_size_limit(100), pytest.raises(DiskFullError):
        CaptureWriter.create(tmp_path, SPEC, CaptureInfo())
    assert list(tmp_path.iterdir()) == []

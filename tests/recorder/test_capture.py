"""Captures: what is written is read back, also after a kill."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from games.voxel import SPEC
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    EpisodeSet,
    decode_cache,
    open_episodes,
    recover,
)


def picture(i: int) -> np.ndarray:
    """A frame whose brightness tells its number."""
    return np.full(SPEC.frame.shape, 10 + 8 * (i % 28), np.uint8)


def record(root, steps=12, seed=0, **info):
    with CaptureWriter.create(
        root, SPEC, CaptureInfo(seed=seed, instruction="chop a tree", **info)
    ) as capture:
        for i in range(steps):
            if i in (0, 5):
                capture.text(style="thought", text=f"thought {i}", source="teacher")
            wanted = {"forward": 1, "camera": (0, 9.0)}
            capture.step(
                picture(i),
                wanted,
                executed_action={"jump": 1} if i == 3 else None,
                reward=float(i == 11),
            )
        capture.close(success=True)
    return capture.folder


def test_steps_come_back(tmp_path):
    record(tmp_path, task="chop_tree")
    (episode,) = open_episodes(tmp_path)
    assert len(episode) == 12
    assert episode.info.success
    assert episode.actions[3] == SPEC.legal({"forward": 1, "camera": (0, 9.0)})
    assert episode.executed[3] == SPEC.legal({"jump": 1})
    assert episode.executed[4] == episode.actions[4]
    assert episode.thoughts[4:6] == ["thought 0", "thought 5"]
    assert episode.rewards[-1] == 1.0
    frames = episode.frames()
    assert frames.shape == (12, *SPEC.frame.shape)
    for i, frame in enumerate(frames):
        assert abs(int(frame.mean()) - int(picture(i).mean())) <= 3


def test_windows_are_the_frames_they_name(tmp_path):
    record(tmp_path, steps=60)
    (episode,) = open_episodes(tmp_path)
    whole = episode.frames()
    window = episode.window(25, 4, stride=7)
    assert (window.frames == whole[[25, 32, 39, 46]]).all()
    assert window.thought == "thought 5"
    with pytest.raises(IndexError):
        episode.window(50, 4, stride=7)
    drawn = open_episodes(tmp_path).random_window(np.random.default_rng(0), 8, 4)
    assert drawn.frames.shape[0] == 8


def test_no_seed_is_on_both_sides_of_a_split(tmp_path):
    for seed in range(12):
        record(tmp_path, steps=2, seed=seed // 2)
    training, held = open_episodes(tmp_path).split(0.7)
    assert len(training) + len(held) == 12
    assert len(training)
    assert len(held)
    assert not {e.info.seed for e in training} & {e.info.seed for e in held}


def test_cache_equals_decoding_and_follows_changes(tmp_path):
    record(tmp_path / "data", steps=5)
    episodes = open_episodes(tmp_path / "data")
    cache = decode_cache(episodes, tmp_path / "frames.u8", workers=1)
    assert (cache == episodes[0].frames()).all()
    record(tmp_path / "data", steps=4)
    more = open_episodes(tmp_path / "data")
    again = decode_cache(more, tmp_path / "frames.u8", workers=1)
    assert (again == np.concatenate([e.frames() for e in more])).all()


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter
capture = CaptureWriter.create(Path(sys.argv[1]), SPEC, CaptureInfo(seed=1))
for i in range(100000):
    capture.step(np.full(SPEC.frame.shape, i % 200, np.uint8), {"forward": 1})
    print(i, flush=True)
    time.sleep(0.002)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_kill_9_loses_at_most_one_frame(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        for line in child.stdout:
            if int(line) >= 40:
                break
        child.send_signal(signal.SIGKILL)
        written = int(([line, *child.stdout.read().split()])[-1]) + 1
    with pytest.raises(CaptureError, match="iafm episodes recover"):
        open_episodes(tmp_path)
    (report,) = recover(tmp_path)
    assert report.outcome == "recovered"
    assert written - 1 <= report.steps <= written + 1
    assert recover(tmp_path) == []
    (episode,) = open_episodes(tmp_path)
    assert len(episode) == len(episode.frames()) == len(episode.actions) == report.steps


def test_a_capture_under_way_is_left_alone(tmp_path):
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        capture.step(picture(0), {})
        assert [r.outcome for r in recover(tmp_path)] == ["still recording"]


def test_garbage_gets_one_clear_line(tmp_path):
    folder = record(tmp_path)
    (tmp_path / "20200101T000000_voxel_deadbeef").mkdir()
    assert "no manifest.json" in recover(tmp_path)[0].outcome
    (folder / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(CaptureError, match=r"manifest\.json"):
        open_episodes(tmp_path)
    manifest = tmp_path / "20200101T000000_voxel_deadbeef" / "manifest.json"
    manifest.write_text("{")
    assert any("damaged" in r.outcome for r in recover(tmp_path))


def test_a_torn_last_line_is_left_out(tmp_path):
    folder = record(tmp_path)
    with (folder / "text.jsonl").open("a") as file:
        file.write('{"id": 9, "te')
    assert len(open_episodes(tmp_path)[0].texts) == 2


def test_wrong_frames_and_full_disks_are_refused(tmp_path):
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        with pytest.raises(CaptureError, match="uint8 frames"):
            capture.step(np.zeros((72, 128, 4), np.uint8), {})
        capture.step(picture(0), {})
    with pytest.raises(CaptureError, match="GB free"):
        CaptureWriter.create(tmp_path, SPEC, CaptureInfo(), disk_needed=1 << 60)
    assert isinstance(open_episodes(tmp_path), EpisodeSet)


def test_every_step_is_on_disk_at_once(tmp_path):
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        for i in range(3):
            capture.step(picture(i), {"jump": 1})
            rows = (capture.folder / "actions.jsonl").read_text().splitlines()
            assert len(rows) == i + 1
            assert json.loads(rows[-1])["human"] == {"jump": 1}
        begun = time.monotonic()
    assert time.monotonic() - begun < 5

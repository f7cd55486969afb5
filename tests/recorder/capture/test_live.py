"""Live recorder: no step is lost silently, whatever happens to the game."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from games import Button, FrameSize, GameSpec
from recorder import (
    CaptureError,
    CaptureInfo,
    LiveRecorder,
    RecordingEndedError,
    VideoProfile,
    open_episodes,
    recover,
    validate,
)
from recorder.format.manifest import read_lines, read_manifest


def spec_of(height: int, width: int) -> GameSpec:
    frame = FrameSize(height=height, width=width)
    return GameSpec(
        id="toy-v0", title="Toy", frame=frame, step_hz=20, controls=(Button(name="jump"),)
    )


SMALL = spec_of(32, 48)


def test_what_is_handed_over_is_written(tmp_path: Path) -> None:
    with LiveRecorder.create(tmp_path, SMALL, CaptureInfo(seed=3, instruction="hop")) as live:
        first = live.text(style="instruction", text="hop")
        for i in range(30):
            frame = np.full(SMALL.frame.shape, 8 * i, np.uint8)
            assert live.step(frame, {"jump": i % 2}, reward=1.0) == i
        live.text(style="correction", text="higher", i0=12, i1=15, supersedes=first)
        live.event("key", code="space")
        with pytest.raises(CaptureError, match="uint8 frames"):
            live.step(np.zeros((1, 1, 3), np.uint8), {})
        report = live.close(success=True)
    assert (report.steps, report.dropped) == (30, 0)
    assert live.close() == report
    (episode,) = open_episodes(tmp_path)
    assert episode.folder == live.folder
    assert episode.manifest.status == "closed"
    assert episode.header.success
    assert [a["jump"] for a in episode.actions] == [0, 1] * 15
    assert [int(f.mean()) for f in episode.frames()] == pytest.approx(
        [8 * i for i in range(30)], abs=3
    )
    assert [(t.text, t.i0, t.i1) for t in episode.texts] == [("higher", 12, 15)]
    assert [e["kind"] for e in read_lines(live.folder / "events.jsonl")] == ["key"]
    assert validate(live.folder) == []


def test_a_full_queue_lowers_quality_and_counts_every_step(tmp_path: Path) -> None:
    spec = spec_of(720, 960)
    noise = np.random.default_rng(0).integers(0, 256, spec.frame.shape, np.uint8)
    sent = 0
    with LiveRecorder.create(
        tmp_path,
        spec,
        CaptureInfo(clock="wallclock"),
        queue=3,
        profile=VideoProfile(crf=10, pixel_format="yuv444p"),
    ) as live:
        while sent < 60:
            live.step(noise, {"jump": sent % 2})
            sent += 1
        live.text(style="thought", text="last", i0=59)
        report = live.close()
    assert report.dropped > 0
    assert report.lowered > 0
    assert report.steps + report.dropped == sent
    frames = read_lines(live.folder / "frames.jsonl")
    events = read_lines(live.folder / "events.jsonl")
    at_end = sum(e["steps"] for e in events if e["kind"] == "dropped_at_end")
    assert sum(f["dropped_before"] for f in frames) + at_end == report.dropped
    ticks = [f["game_tick"] for f in frames]
    lost = [e["tick"] for e in events if e["kind"] == "dropped"]
    assert sorted(ticks + lost) == list(range(sent))
    (episode,) = open_episodes(tmp_path)
    assert [a["jump"] for a in episode.actions] == [t % 2 for t in ticks]
    assert len(episode.frames()) == report.steps
    assert validate(episode) == []


def test_a_lockstep_game_waits_instead(tmp_path: Path) -> None:
    spec = spec_of(720, 960)
    noise = np.random.default_rng(0).integers(0, 256, spec.frame.shape, np.uint8)
    with LiveRecorder.create(tmp_path, spec, CaptureInfo(clock="lockstep"), queue=2) as live:
        for _ in range(20):
            live.step(noise, {})
        report = live.close()
    assert (report.steps, report.dropped) == (20, 0)


GAME = """
import signal, sys, time
from pathlib import Path
import numpy as np
from games import Button, FrameSize, GameSpec
from recorder import CaptureInfo, LiveRecorder
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs begin with it ignored
spec = GameSpec.model_validate_json(sys.argv[2])
with LiveRecorder.create(Path(sys.argv[1]), spec, CaptureInfo()) as live:
    for i in range(100000):
        live.step(np.full(spec.frame.shape, i % 200, np.uint8), {"jump": 1})
        live.text(style="quick_tag", text=str(i), i0=i)
        print(i, flush=True)
        time.sleep(0.002)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_recording_outlives_the_game(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", GAME, str(tmp_path), SMALL.model_dump_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as game:
        assert game.stdout is not None
        for line in game.stdout:
            if int(line) >= 30:
                break
        if how == signal.SIGKILL:
            game.kill()
        else:
            os.killpg(game.pid, how)  # as a terminal does: the recording process gets it too
        handed_over = int([line, *game.stdout.read().split()][-1]) + 1
    (folder,) = tmp_path.iterdir()
    deadline = time.monotonic() + 60
    while read_manifest(folder).status == "recording" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert recover(tmp_path) == []
    (episode,) = open_episodes(tmp_path)
    assert episode.manifest.status == "interrupted"
    assert handed_over <= len(episode) <= handed_over + 1
    assert len(episode.texts) >= handed_over
    assert validate(folder) == []


def test_a_killed_recording_process_loses_nothing(tmp_path: Path) -> None:
    live = LiveRecorder.create(tmp_path, SMALL, CaptureInfo(clock="wallclock"))
    frames = np.arange(60, dtype=np.uint8)[:, None, None, None] * 4 + np.zeros(
        SMALL.frame.shape, np.uint8
    )
    for frame in frames[:10]:
        live.step(frame, {"jump": 1})
    process = read_manifest(live.folder).writer
    os.kill(process, signal.SIGSTOP)  # what follows is on disk all the same
    for frame in frames[10:]:
        live.step(frame, {"jump": 1})
    assert live.text(style="thought", text="stopped", i0=55) == 0
    live.event("key", code="w")
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    for call in (
        lambda: live.step(frames[0], {}),
        lambda: live.text(style="thought", text="?"),
        lambda: live.event("key"),
        live.close,
    ):
        with pytest.raises(RecordingEndedError, match=r"exit -9.*iafm episodes recover"):
            call()
    (report,) = recover(tmp_path)
    assert (report.outcome, report.steps) == ("recovered", 60)
    assert validate(live.folder) == []
    (episode,) = open_episodes(tmp_path)
    means = [int(frame.mean()) for frame in episode.frames()]
    assert means == pytest.approx([4 * i for i in range(60)], abs=3)
    assert [(t.text, t.i0) for t in episode.texts] == [("stopped", 55)]
    assert [e["kind"] for e in read_lines(live.folder / "events.jsonl")] == ["key"]
    with live.restart() as successor:
        successor.step(frames[0], {})
    assert successor.folder != live.folder
    assert len(open_episodes(tmp_path)) == 2


def test_a_stopped_recording_process_does_not_hold_up_the_game(tmp_path: Path) -> None:
    with LiveRecorder.create(tmp_path, SMALL, CaptureInfo(clock="wallclock"), queue=8) as live:
        process = read_manifest(live.folder).writer
        os.kill(process, signal.SIGSTOP)
        for i in range(30):  # would not return where a call waited
            live.step(np.full(SMALL.frame.shape, 8 * i, np.uint8), {"jump": i % 2})
        live.text(style="thought", text="later", i0=20, i1=30)
        assert (live.queued, live.dropped) == (8, 22)
        os.kill(process, signal.SIGCONT)
        while live.queued:
            live.event("wait")
        live.step(np.full(SMALL.frame.shape, 240, np.uint8), {"jump": 0})
        report = live.close()
    assert (report.steps, report.dropped, report.queued) == (9, 22, 8)
    assert report.lowered == 1
    (episode,) = open_episodes(tmp_path)
    means = [int(frame.mean()) for frame in episode.frames()]
    assert means == pytest.approx([*range(0, 64, 8), 240], abs=3)
    assert episode.dropped_before == {8: 22}
    assert [(t.i0, t.i1) for t in episode.texts] == [(8, 8)]
    events = read_lines(live.folder / "events.jsonl")
    assert [e["tick"] for e in events if e["kind"] == "dropped"] == list(range(8, 30))
    assert validate(live.folder) == []


def test_a_discarded_recording_is_gone(tmp_path: Path) -> None:
    with LiveRecorder.create(tmp_path, SMALL, CaptureInfo()) as live:
        live.step(np.zeros(SMALL.frame.shape, np.uint8), {})
        live.discard()
    assert list(tmp_path.iterdir()) == []
    killed = LiveRecorder.create(tmp_path, SMALL, CaptureInfo())
    os.kill(read_manifest(killed.folder).writer, signal.SIGKILL)
    killed.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="GB free"):
        LiveRecorder.create(tmp_path, SMALL, CaptureInfo(), disk_needed=1 << 60)


def test_a_discarded_capture_leaves_nothing(tmp_path: Path) -> None:
    live = LiveRecorder.create(tmp_path, SMALL, CaptureInfo())
    live.step(np.zeros(SMALL.frame.shape, np.uint8), {"jump": 1})
    live.discard()
    live.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_disk_guard_pauses_and_says_so(tmp_path: Path) -> None:
    with LiveRecorder.create(tmp_path, SMALL, CaptureInfo(), disk_pause=1 << 60) as live:
        for _ in range(5):
            live.step(np.zeros(SMALL.frame.shape, np.uint8), {"jump": 1})
        assert live.paused
        assert live.dropped == 5
        report = live.close()
    assert (report.steps, report.dropped) == (0, 5)
    assert (live.paused, live.dropped) == (True, 5)
    events = (live.folder / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in events] == ["paused", "dropped_at_end"]

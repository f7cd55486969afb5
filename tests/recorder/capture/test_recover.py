"""Recovery: abandoned captures are cut to what is intact and marked, without a traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from games import Button, FrameSize, GameSpec
from recorder import CaptureInfo, CaptureWriter, open_episodes, recover, validate
from recorder.format.manifest import process_state, read_manifest, write_manifest

SPEC = GameSpec(
    id="toy-v0",
    title="Toy",
    frame=FrameSize(height=32, width=48),
    step_hz=20,
    controls=(Button(name="jump"),),
)


@pytest.fixture
def abandoned(tmp_path: Path) -> Path:
    """A capture of 45 steps as a killed writer leaves it."""
    root = tmp_path / "captures"
    capture = CaptureWriter.create(root, SPEC, CaptureInfo(seed=1))
    for i in range(45):
        capture.step(np.full(SPEC.frame.shape, 5 * i, np.uint8), {"jump": i % 2})
    capture.text(style="thought", text="hop", source="teacher")
    folder = root / capture.folder.name
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    capture.close()
    shutil.rmtree(root)
    copy.rename(root)
    manifest = read_manifest(folder).model_copy(update={"writer": 0})
    write_manifest(folder, manifest)
    return folder


def test_recovery_is_whole_and_happens_once(abandoned: Path) -> None:
    (report,) = recover(abandoned.parent)
    assert (report.outcome, report.steps) == ("recovered", 45)
    before = {p: p.read_bytes() for p in abandoned.rglob("*") if p.is_file()}
    assert recover(abandoned.parent) == []
    assert {p: p.read_bytes() for p in abandoned.rglob("*") if p.is_file()} == before
    assert validate(abandoned) == []
    (episode,) = open_episodes(abandoned.parent)
    assert [t.text for t in episode.texts] == ["hop"]


@pytest.mark.parametrize("share", [0.97, 0.6, 0.3])
def test_a_video_cut_off_anywhere_is_kept_up_to_there(abandoned: Path, share: float) -> None:
    video = abandoned / "video/main.mp4"
    content = video.read_bytes()
    video.write_bytes(content[: int(len(content) * share)])
    (report,) = recover(abandoned.parent)
    assert report.outcome == "recovered"
    assert 0 < report.steps < 45
    assert validate(abandoned) == []
    (episode,) = open_episodes(abandoned.parent)
    means = [int(frame.mean()) for frame in episode.frames()]
    assert means == pytest.approx([5 * i for i in range(report.steps)], abs=3)
    assert [a["jump"] for a in episode.actions] == [i % 2 for i in range(report.steps)]


def test_the_shortest_track_decides(abandoned: Path) -> None:
    actions = abandoned / "actions.jsonl"
    lines = actions.read_bytes().split(b"\n")
    actions.write_bytes(b"\n".join(lines[:20]) + b"\n" + lines[20][:9])
    with (abandoned / "text.jsonl").open("ab") as file:
        file.write(b'{"id": 1, "te')
    (report,) = recover(abandoned.parent)
    assert report.steps == 20
    assert validate(abandoned) == []
    assert [t.i0 for t in open_episodes(abandoned)[0].texts] == [20]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("video/main.mp4", b""),
        ("video/main.mp4", b"garbage" * 99),
        ("actions.jsonl", b"\x00\xff"),
        ("actions.jsonl", None),
        ("frames.jsonl", b"[]\n7\n"),
        ("manifest.json", b"\xff\xfe"),
        ("manifest.json", b"[]"),
        ("manifest.json", b'{"format": 99}'),
    ],
)
def test_garbage_gets_one_line(abandoned: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (abandoned / name).unlink()
    else:
        (abandoned / name).write_bytes(content)
    (report,) = recover(abandoned.parent)
    assert report.outcome not in {"recovered", "still recording"}
    assert "\n" not in report.outcome
    assert len(validate(abandoned)) == 1


@pytest.mark.skipif(process_state(os.getpid()) is None, reason="needs /proc")
def test_only_the_writer_itself_counts_as_alive(abandoned: Path) -> None:
    manifest = read_manifest(abandoned)

    def outcome(**writer: float) -> str:
        write_manifest(abandoned, manifest.model_copy(update=writer))
        return recover(abandoned.parent)[0].outcome

    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        state = process_state(other.pid)
        assert state is not None
        started = state[1]
        assert outcome(writer=other.pid, writer_started=started) == "still recording"
        assert outcome(writer=other.pid, writer_started=started - 9) == "recovered"
    finally:
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet fetched
    assert outcome(writer=other.pid, writer_started=started) == "recovered"
    other.wait()

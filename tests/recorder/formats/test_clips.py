"""Captioned clips: videos with sentences become captures."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.registry import load
from recorder import (
    CaptureError,
    DiskFullError,
    ImportReport,
    clip_frames,
    export_lerobot,
    import_captions,
    open_episodes,
)

SPEC = load("clips").spec


def film(path: Path, seconds: int, grey: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t in range(10 * seconds):
            video_frame = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), grey, np.uint8), format="rgb24"
            )
            video_frame.pts, video_frame.time_base = t, Fraction(1, 10)
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode(None))


def numbered(path: Path, times_ms: Sequence[int]) -> None:
    """A video of one picture at each time; picture i has the brightness 20 + 10 i."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for i, time_ms in enumerate(times_ms):
            grey = np.full((16, 16, 3), 20 + 10 * i, np.uint8)
            video_frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            video_frame.pts, video_frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode(None))


def lines(folder: Path, *rows: Mapping[str, object]) -> Path:
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_clips_are_sampled_and_carry_their_words(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 3, 200)
    question = {"video": "a.mp4", "question": "what is the patient doing?"}
    full = {**question, "text": "the patient sits"}
    part = {**question, "text": "calm", "begin_s": 1, "end_s": 2}
    assert import_captions(lines(tmp_path, full, part), tmp_path / "out", SPEC).added == 2
    first, second = sorted(open_episodes(tmp_path / "out"), key=len, reverse=True)
    assert (len(first), len(second)) == (6, 3)  # twice a second
    assert first.captions == ["the patient sits"] * 6
    assert first.header.instruction == question["question"]
    assert first.frames().shape == (6, 224, 224, 3)
    assert first.frames().mean() == pytest.approx(200, abs=3)
    assert second.actions == [{}] * 3
    assert first.header.seed == second.header.seed
    assert second.header.author == "a.mp4#t=1,2"
    assert import_captions(tmp_path, tmp_path / "out", SPEC) == ImportReport(added=0, held=2)
    film(tmp_path / "b.mp4", 1, 50)
    with (tmp_path / "captions.jsonl").open("a") as more:
        more.write(
            '\n{"video": "b.mp4", "text": "night"}'
        )  # as editors leave it: without a newline
    assert import_captions(tmp_path, tmp_path / "out", SPEC).added == 1
    with pytest.raises(CaptureError, match="no actions, and LeRobot no dataset without"):
        export_lerobot(open_episodes(tmp_path / "out"), tmp_path / "lerobot")


def test_time_is_counted_from_the_first_frame(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", 3, 200)  # transport streams begin at 1.4 s
    assert len(list(clip_frames(tmp_path / "a.ts", SPEC))) == 6
    assert len(list(clip_frames(tmp_path / "a.ts", SPEC, 1, 2))) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"video": "b.mp4", "text": "x"}', r"no video .*b\.mp4"),
        ('{"video": "../a.mp4", "text": "x"}', "lies outside the folder"),
        ('{"video": "a.mp4"}', "Field required at text"),
        ('{"video": "a.mp4", "text": "x", "begin_s": 9}', "has no frames from second 9 on"),
        ('{"video": "a.mp4", "text": "x", "begin_s": NaN}', "finite number"),
        ("null", "valid dictionary"),
        ('{"video": "a.mp4", "te', "no JSON"),
        ('{"video": "cut.mp4", "text": "x"}', "cut.mp4 cannot be read"),
        ('{"video": "none.mp4", "text": "x"}', "none.mp4 cannot be read"),
    ],
)
def test_a_bad_line_is_skipped_and_the_others_are_imported(
    tmp_path: Path, line: str, reason: str
) -> None:
    film(tmp_path / "a.mp4", 1, 100)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:300])
    (tmp_path / "none.mp4").write_bytes(b"no video")
    good = '{"video": "a.mp4", "text": "night"}'
    (tmp_path / "captions.jsonl").write_text(f"{line}\n{good}\n")
    report = import_captions(tmp_path, tmp_path / "out", SPEC)
    assert (report.added, len(report.skipped)) == (1, 1)
    assert report.skipped[0].source == "captions.jsonl, line 1"
    assert re.search(reason, report.skipped[0].why)
    assert [e.captions[0] for e in open_episodes(tmp_path / "out")] == ["night"]
    with pytest.raises(CaptureError, match=reason):
        import_captions(tmp_path, tmp_path / "strict", SPEC, strict=True)


def test_a_picture_that_is_too_large_is_not_decoded(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 4098, 16, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 4098, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    lines(tmp_path, {"video": "wide.mp4", "text": "x"})
    (skipped,) = import_captions(tmp_path, tmp_path / "out", SPEC).skipped
    assert "frames of 16 x 4098, larger than 4096" in skipped.why


def test_what_is_no_list_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"captions\.jsonl cannot be read"):
        import_captions(tmp_path, tmp_path / "out", SPEC)
    (tmp_path / "captions.jsonl").write_text("\n")
    with pytest.raises(CaptureError, match="has no line in it"):
        import_captions(tmp_path, tmp_path / "out", SPEC)


def test_a_clip_is_known_by_its_content(tmp_path: Path) -> None:
    """Folders and videos of equal names are imported both, a copy under another name is not."""
    for name, grey in (("one", 50), ("two", 200)):
        (tmp_path / name).mkdir()
        film(tmp_path / name / "a.mp4", 1, grey)
        lines(tmp_path / name, {"video": "a.mp4", "text": "same"})
    reports = [import_captions(tmp_path / n, tmp_path / "out", SPEC) for n in ("one", "two", "one")]
    assert [(r.added, r.held) for r in reports] == [(1, 0), (1, 0), (0, 1)]
    shutil.copy(tmp_path / "one" / "a.mp4", tmp_path / "two" / "b.mp4")
    lines(tmp_path / "two", {"video": "b.mp4", "text": "same"})
    assert import_captions(tmp_path / "two", tmp_path / "out", SPEC).held == 1


def test_an_import_that_was_interrupted_and_repeated_has_every_clip_once(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 1, 100)
    lines(tmp_path, *({"video": "a.mp4", "text": f"clip {k}"} for k in range(3)))

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_captions(tmp_path, tmp_path / "out", SPEC, progress=interrupt)
    report = import_captions(tmp_path, tmp_path / "out", SPEC)
    assert (report.added, report.held) == (1, 2)
    texts = sorted(e.captions[0] for e in open_episodes(tmp_path / "out"))
    assert texts == ["clip 0", "clip 1", "clip 2"]


def test_a_full_disk_stops_the_import_and_leaves_nothing(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 1, 100)
    lines(tmp_path, {"video": "a.mp4", "text": "x"})
    with pytest.raises(DiskFullError, match="GB are needed"):
        import_captions(tmp_path, tmp_path / "out", SPEC, disk_needed=1 << 60)
    assert not list((tmp_path / "out").glob("*"))


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    film(tmp_path / "a.MP4", 1, 100)
    line = json.dumps({"video": "a.MP4", "text": "night"})
    (tmp_path / "captions.jsonl").write_bytes(b"\xef\xbb\xbf" + line.encode() + b"\r\n\r\n")
    assert import_captions(tmp_path, tmp_path / "out", SPEC).added == 1


@settings(max_examples=25, deadline=None)
@given(
    gaps=st.lists(st.integers(20, 900), min_size=1, max_size=20),
    offset=st.integers(0, 300),
    begin_ms=st.integers(0, 2000),
)
def test_each_frame_is_the_picture_shown_at_its_time(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], offset: int, begin_ms: int
) -> None:
    """Pictures of any rate, also a changing one, that begin at any time; `gaps` are milliseconds between them."""
    path = tmp_path_factory.getbasetemp() / "any.mp4"
    starts = [sum(gaps[:k]) for k in range(len(gaps) + 1)]
    numbered(path, [offset + start for start in starts])
    frames = list(clip_frames(path, SPEC, begin_ms / 1000))
    for k, frame in enumerate(frames):
        now = begin_ms + k * 1000 / SPEC.step_hz
        shown = max(i for i, start in enumerate(starts) if start <= now + 0.1)
        assert round((frame.mean() - 20) / 10) == shown
    last_covered = max(0, starts[-1] - begin_ms)
    assert len(frames) >= (last_covered * SPEC.step_hz / 1000 if begin_ms < starts[-1] else 0)

"""Captioned clips: videos with sentences become captures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from games.registry import load
from recorder import CaptureError, clip_frames, export_lerobot, import_captions, open_episodes

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


def lines(folder: Path, *rows: Mapping[str, object]) -> Path:
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_clips_are_sampled_and_carry_their_words(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 3, 200)
    question = {"video": "a.mp4", "question": "what is the patient doing?"}
    full = {**question, "text": "the patient sits"}
    part = {**question, "text": "calm", "begin_s": 1, "end_s": 2}
    assert import_captions(lines(tmp_path, full, part), tmp_path / "out", SPEC) == 2
    first, second = sorted(open_episodes(tmp_path / "out"), key=len, reverse=True)
    assert (len(first), len(second)) == (6, 3)  # twice a second
    assert first.captions == ["the patient sits"] * 6
    assert first.header.instruction == question["question"]
    assert first.frames().shape == (6, 224, 224, 3)
    assert first.frames().mean() == pytest.approx(200, abs=3)
    assert second.actions == [{}] * 3
    assert first.header.seed == second.header.seed
    assert second.header.author == "a.mp4#t=1,2"
    assert import_captions(tmp_path, tmp_path / "out", SPEC) == 0
    film(tmp_path / "b.mp4", 1, 50)
    with (tmp_path / "captions.jsonl").open("a") as more:
        more.write(
            '\n{"video": "b.mp4", "text": "night"}'
        )  # as editors leave it: without a newline
    assert import_captions(tmp_path, tmp_path / "out", SPEC) == 1
    with pytest.raises(CaptureError, match="no actions, and LeRobot no dataset without"):
        export_lerobot(open_episodes(tmp_path / "out"), tmp_path / "lerobot")


def test_time_is_counted_from_the_first_frame(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", 3, 200)  # transport streams begin at 1.4 s
    assert len(list(clip_frames(tmp_path / "a.ts", SPEC))) == 6
    assert len(list(clip_frames(tmp_path / "a.ts", SPEC, 1, 2))) == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"video": "b.mp4", "text": "x"}, r"line 1: no video .*b\.mp4"),
        ({"video": "../a.mp4", "text": "x"}, "lies outside the folder"),
        ({"video": "a.mp4"}, "line 1: Field required at text"),
        ({"video": "a.mp4", "text": "x", "begin_s": 9}, "has no frames from second 9 on"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, row: dict[str, object], reason: str
) -> None:
    film(tmp_path / "a.mp4", 1, 100)
    with pytest.raises(CaptureError, match=reason):
        import_captions(lines(tmp_path, row), tmp_path / "out", SPEC)
    assert not (tmp_path / "out").exists()


def test_what_is_no_list_or_no_video_is_said(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"captions\.jsonl cannot be read"):
        import_captions(tmp_path, tmp_path / "out", SPEC)
    (tmp_path / "captions.jsonl").write_text("\n")
    with pytest.raises(CaptureError, match="has no line in it"):
        import_captions(tmp_path, tmp_path / "out", SPEC)
    (tmp_path / "captions.jsonl").write_text("{")
    with pytest.raises(CaptureError, match="line 1 is no JSON"):
        import_captions(tmp_path, tmp_path / "out", SPEC)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(CaptureError, match=r"a\.mp4 cannot be read"):
        import_captions(lines(tmp_path, {"video": "a.mp4", "text": "x"}), tmp_path / "out", SPEC)

"""Fragments of a growing MP4: wherever the file is cut off, the whole frames before it are known and read."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games import Button, FrameSize, GameSpec
from recorder.format.fragments import fragment_ends
from recorder.format.video import VideoSlice, VideoWriter, growing_frames, profile_for, remux

SPEC = GameSpec(
    id="toy-v0",
    title="Toy",
    frame=FrameSize(height=16, width=32),
    step_hz=4,
    controls=(Button(name="jump"),),
)
FRAMES = 12


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame i is a grey of 20 i; keyframes are 0, 4 and 8."""
    path = tmp_path_factory.mktemp("video") / "main.mp4"
    writer = VideoWriter(path, SPEC, profile_for(SPEC))
    for i in range(FRAMES):
        writer.write(np.full(SPEC.frame.shape, 20 * i, np.uint8), i)
    writer.close()
    return path


def greys(path: Path, count: int) -> list[float]:
    frames = VideoSlice(path, 4, SPEC.frame.shape).read(range(count))
    return [float(frame.mean()) for frame in frames]


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1))
def test_a_cut_file_has_its_whole_frames(video: Path, share: float) -> None:
    content = video.read_bytes()
    cut = video.with_name("cut.mp4")
    cut.write_bytes(content[: int(share * len(content))])
    whole = sum(end <= cut.stat().st_size for end in fragment_ends(video)[1:])
    ends = growing_frames(cut, 4)
    assert len(ends) - 1 == whole
    if whole:
        os.truncate(cut, ends[-1])  # FFmpeg opens no file that ends in a part of a fragment's head
        assert greys(cut, whole) == pytest.approx([20 * i for i in range(whole)], abs=3)


def test_a_frame_that_cannot_be_decoded_ends_the_file(video: Path, tmp_path: Path) -> None:
    content = bytearray(video.read_bytes())
    begin, end = fragment_ends(video)[8:10]
    content[begin + 112 : end] = bytes(end - begin - 112)  # the picture of frame 8, a keyframe
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    assert len(growing_frames(damaged, 4)) - 1 <= 8


def test_an_ordinary_mp4_does_not_grow(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "main.mp4"
    path.write_bytes(video.read_bytes())
    remux(path, FRAMES)
    assert growing_frames(path, 4) == []
    assert greys(path, FRAMES) == pytest.approx([20 * i for i in range(FRAMES)], abs=3)


def test_a_growing_file_is_continued_from_any_frame_on(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "main.mp4"
    path.write_bytes(video.read_bytes()[: fragment_ends(video)[6]])
    writer = VideoWriter(path, SPEC, profile_for(SPEC))
    for i in range(6, 10):
        writer.write(np.full(SPEC.frame.shape, 20 * i, np.uint8), i)
    writer.close()
    assert greys(path, 10) == pytest.approx([20 * i for i in range(10)], abs=3)

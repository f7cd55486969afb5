"""Video track: every number gives back its frame, at any size and in any order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from games import Button, FrameSize, GameSpec
from recorder import LIVE, SHARP, CaptureError, CaptureInfo, CaptureWriter, open_episodes
from recorder.format.video import VideoProfile, profile_for


def spec_of(height: int, width: int, step_hz: float = 20.0) -> GameSpec:
    frame = FrameSize(height=height, width=width)
    return GameSpec(
        id="toy-v0", title="Toy", frame=frame, step_hz=step_hz, controls=(Button(name="jump"),)
    )


@pytest.mark.parametrize(
    ("height", "width", "step_hz"), [(72, 128, 20), (33, 47, 7.5), (301, 257, 20), (8, 8, 0.3)]
)
def test_frame_i_is_frame_i(tmp_path: Path, height: int, width: int, step_hz: float) -> None:
    spec = spec_of(height, width, step_hz)
    levels = np.random.default_rng(0).permutation(np.linspace(10, 245, 50)).astype(np.uint8)
    with CaptureWriter.create(tmp_path, spec, CaptureInfo()) as capture:
        for level in levels:
            capture.step(np.full(spec.frame.shape, level, np.uint8), {})
    (episode,) = open_episodes(tmp_path)
    frames = episode.frames()
    assert frames.reshape(50, -1).mean(1) == pytest.approx(levels.astype(float), abs=3)
    for i in range(50):
        assert (episode.frames(i, i + 1)[0] == frames[i]).all()
    assert (episode.frames(13, 47, 5) == frames[13:47:5]).all()
    assert episode.frames(20, 20).shape == (0, *spec.frame.shape)


def test_quality_can_fall_without_a_seam(tmp_path: Path) -> None:
    spec = spec_of(64, 96)
    frames = np.random.default_rng(0).integers(0, 256, (60, *spec.frame.shape), np.uint8)
    sizes, lowered = [], []
    with CaptureWriter.create(
        tmp_path, spec, CaptureInfo(), profile=VideoProfile(30, "yuv420p")
    ) as capture:
        video = capture.folder / "video/main.mp4"
        for i, frame in enumerate(frames):
            if i in (20, 40):
                lowered.append(capture.lower_quality())
            capture.step(frame, {})
            sizes.append(video.stat().st_size)
    assert lowered == [True, False]
    assert sizes[39] - sizes[20] < 0.8 * (sizes[19] - sizes[0])
    (episode,) = open_episodes(tmp_path)
    frames = episode.frames()
    assert len(frames) == 60
    assert all((episode.frames(i, i + 1)[0] == frames[i]).all() for i in (0, 19, 20, 21, 39, 59))


def test_small_pictures_are_kept_sharp() -> None:
    assert profile_for(spec_of(72, 128)) == SHARP
    assert profile_for(spec_of(360, 640)) == LIVE
    assert profile_for(spec_of(361, 640)).pixel_format == "yuv444p"


def test_a_closed_file_has_its_index_in_front(tmp_path: Path) -> None:
    spec = spec_of(32, 48)
    with CaptureWriter.create(tmp_path, spec, CaptureInfo()) as capture:
        for _ in range(5):
            capture.step(np.zeros(spec.frame.shape, np.uint8), {})
        live = (capture.folder / "video/main.mp4").read_bytes()
    closed = (capture.folder / "video/main.mp4").read_bytes()
    assert live.count(b"moof") == 5  # one a frame, at once
    assert closed.count(b"moof") == 0
    assert closed.index(b"moov") < closed.index(b"mdat")
    assert [p.name for p in capture.folder.rglob("*.draft")] == []


def test_chunks_are_all_frames_in_one_pass(tmp_path: Path) -> None:
    spec = spec_of(16, 32)
    with CaptureWriter.create(tmp_path, spec, CaptureInfo()) as capture:
        for i in range(50):
            capture.step(np.full(spec.frame.shape, 4 * i, np.uint8), {})
    video = open_episodes(tmp_path)[0].video
    chunks = list(video.chunks(50, size=16))
    assert [len(chunk) for chunk in chunks] == [16, 16, 16, 2]
    assert (np.concatenate(chunks) == video.read(range(50))).all()
    later = replace(video, first=7)
    assert (np.concatenate(list(later.chunks(20))) == video.read(range(7, 27))).all()
    assert list(video.chunks(0)) == []
    too_long = video.chunks(60, size=16)
    assert [len(next(too_long)) for _ in range(3)] == [16, 16, 16]
    with pytest.raises(CaptureError, match="has 50 of 60 frames"):
        next(too_long)
    assert [frame.mean() for frame in video.keyframes(45)] == pytest.approx([0, 80, 160], abs=3)


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    spec = spec_of(16, 32)
    with CaptureWriter.create(tmp_path, spec, CaptureInfo()) as capture:
        capture.step(np.zeros(spec.frame.shape, np.uint8), {})
    video = replace(open_episodes(tmp_path)[0].video, shape=(32, 32, 3))
    with pytest.raises(CaptureError, match=r"main\.mp4: frames of 16 x 32, not 32 x 32"):
        video.read(range(1))
    with pytest.raises(CaptureError, match="frames of 16 x 32"):
        list(video.chunks(1))

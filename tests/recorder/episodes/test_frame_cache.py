"""Frame cache: all frames of all episodes, decoded once and rebuilt when the episodes change."""

from pathlib import Path

import numpy as np
import pytest

from games.resize import resize_frame
from games.voxel import SPEC
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    EpisodeSet,
    decode_cache,
    open_episodes,
)
from recorder.episodes.frame_cache import resized_frames


def record(root: Path, steps: int, seed: int = 0) -> EpisodeSet:
    """Noise, brighter with every step."""
    rng = np.random.default_rng(seed)
    with CaptureWriter.create(root, SPEC, CaptureInfo(seed=seed)) as capture:
        for step in range(steps):
            capture.step(rng.integers(0, 20 + 4 * step, SPEC.frame.shape, np.uint8), {})
    return open_episodes(root)


def test_the_cache_is_what_decoding_gives_and_follows_changes(tmp_path: Path) -> None:
    episodes = record(tmp_path / "data", 5)
    cache = decode_cache(episodes, tmp_path / "frames", workers=1)
    assert (cache == episodes[0].frames()).all()
    more = record(tmp_path / "data", 4)
    again = decode_cache(more, tmp_path / "frames", workers=1)
    assert (again == np.concatenate([e.frames() for e in more])).all()


def test_frames_of_another_size_are_resized_as_in_play(tmp_path: Path) -> None:
    episodes = record(tmp_path / "data", 5)
    cache = decode_cache(episodes, tmp_path / "frames", size=(50, 140), workers=1)
    assert (cache == [resize_frame(frame, 50, 140) for frame in episodes[0].frames()]).all()


def test_several_processes_decode_in_order(tmp_path: Path) -> None:
    record(tmp_path / "data", 5)
    episodes = record(tmp_path / "data", 7, seed=1)
    cache = decode_cache(episodes, tmp_path / "frames", workers=2)
    assert (cache == np.concatenate([e.frames() for e in episodes])).all()


def test_a_long_episode_is_decoded_in_chunks(tmp_path: Path) -> None:
    (episode,) = record(tmp_path / "data", 45)
    frames = list(resized_frames(episode.video, 45, SPEC.frame.shape, chunk=7))
    assert (np.stack(frames) == episode.frames()).all()


def test_a_broken_capture_is_refused_and_leaves_no_cache(tmp_path: Path) -> None:
    episodes = record(tmp_path / "data", 5)
    (episodes[0].folder / "video/main.mp4").write_bytes(b"")
    with pytest.raises(CaptureError, match=r"main\.mp4"):
        decode_cache(episodes, tmp_path / "frames", workers=1)
    assert list(tmp_path.glob("frames*")) == []

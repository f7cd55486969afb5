"""Frame cache: all frames of all episodes, decoded once and rebuilt when the episodes change."""

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from games.resize import resize_frame
from games.voxel import SPEC
from recorder import (
    BrokenVideosError,
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    Episode,
    EpisodeSet,
    decode_cache,
    jpeg_cache,
    open_episodes,
)
from recorder.episodes import frame_cache
from recorder.episodes.frame_cache import resized_frames
from recorder.format.process import process_name


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


@pytest.mark.parametrize("make", [decode_cache, jpeg_cache])
def test_what_a_killed_process_left_of_a_cache_is_deleted(
    tmp_path: Path, make: Callable[..., Any]
) -> None:
    episodes = record(tmp_path / "data", 2)
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    name = f"frames.{platform.node()}."
    left = [f"{name}{killed.pid}-1.draft", f"{name}{killed.pid}-1.0.part"]
    others = [f"{name}{process_name()}.7.part", f"frames.elsewhere.{killed.pid}-1.draft"]
    for file in (*left, *others):
        (tmp_path / file).touch()
    make(episodes, tmp_path / "frames", workers=1)
    assert not [file for file in left if (tmp_path / file).exists()]
    assert [file for file in others if (tmp_path / file).exists()] == others


def test_the_work_for_an_episode_does_not_grow_with_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, length = [0], Episode.__len__

    def count(episode: Episode) -> int:
        counted[0] += 1
        return length(episode)

    monkeypatch.setattr(Episode, "__len__", count)

    def lengths_read(number: int) -> float:
        for seed in range(number):
            episodes = record(tmp_path / f"data-{number}", 1, seed)
        counted[0] = 0
        decode_cache(episodes, tmp_path / "frames", workers=1, progress=lambda *_: None)
        return counted[0] / number

    assert lengths_read(8) == lengths_read(3)


def test_a_long_episode_is_decoded_in_chunks(tmp_path: Path) -> None:
    (episode,) = record(tmp_path / "data", 45)
    frames = list(resized_frames(episode.video, 45, SPEC.frame.shape, chunk=7))
    assert (np.stack(frames) == episode.frames()).all()


@pytest.mark.parametrize("make", [decode_cache, jpeg_cache])
def test_a_long_episode_is_shared_out_to_processes(
    make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_cache, "PART_FRAMES", 9)
    record(tmp_path / "data", 40)
    episodes = record(tmp_path / "data", 4, seed=1)
    calls: list[tuple[int, int]] = []
    cache = make(
        episodes, tmp_path / "frames", workers=1, progress=lambda *done: calls.append(done)
    )
    frames = np.concatenate([e.frames() for e in episodes])
    cached = cache if isinstance(cache, np.ndarray) else cache.read(range(44))
    difference = np.abs(cached.astype(int) - frames).mean(axis=(1, 2, 3))
    assert difference.max() < (1e-9 if cached is cache else 5)
    assert len(cache) == len(frames) == 44
    ends = [9, 18, 27, 36, 40, 44] if len(episodes[0]) == 40 else [4, 13, 22, 31, 40, 44]
    assert calls == [(end, 44) for end in ends]


def test_where_a_long_video_is_broken_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_cache, "PART_FRAMES", 2)
    episodes = record(tmp_path / "data", 45)
    video = episodes[0].folder / "video/main.mp4"
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 9 // 10])  # without its last part
    with pytest.raises(BrokenVideosError, match="1 of 1 videos do not decode") as error:
        decode_cache(episodes, tmp_path / "frames", workers=1)
    assert list(error.value.reasons) == [0]


def test_a_broken_capture_is_refused_and_leaves_no_cache(tmp_path: Path) -> None:
    episodes = record(tmp_path / "data", 5)
    (episodes[0].folder / "video/main.mp4").write_bytes(b"")
    with pytest.raises(CaptureError, match=r"main\.mp4"):
        decode_cache(episodes, tmp_path / "frames", workers=1)
    assert list(tmp_path.glob("frames*")) == []

"""JPEG frame cache: near to the raw frames, rebuilt when the episodes change, with damage reported."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from games.voxel import SPEC
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    EpisodeSet,
    JpegFrames,
    decode_cache,
    jpeg_cache,
    open_episodes,
)

HEIGHT, WIDTH, _ = SPEC.frame.shape


def record(root: Path, steps: int, seed: int) -> EpisodeSet:
    """Soft colours, red to the left and blue to the right, brighter with every step."""
    across = np.linspace(0, 150, WIDTH, dtype=np.uint8)
    with CaptureWriter.create(root, SPEC, CaptureInfo(seed=seed)) as capture:
        for step in range(steps):
            frame = np.zeros(SPEC.frame.shape, np.uint8)
            frame[..., 0], frame[..., 1], frame[..., 2] = across[::-1], 12 * (step % 20), across
            capture.step(frame, {})
    return open_episodes(root)


@pytest.fixture
def episodes(tmp_path: Path) -> EpisodeSet:
    record(tmp_path / "data", 5, 0)
    return record(tmp_path / "data", 7, 1)


@pytest.mark.parametrize("size", [None, (36, 64)])
def test_what_is_read_is_near_to_the_raw_frames(
    episodes: EpisodeSet, tmp_path: Path, size: tuple[int, int] | None
) -> None:
    raw = decode_cache(episodes, tmp_path / "raw", size=size, workers=1)
    jpegs = jpeg_cache(episodes, tmp_path / "small", size=size, workers=1)
    assert (len(jpegs), jpegs.shape) == (12, raw.shape)
    wanted = np.array([11, 0, 4, 4, 5])
    error = np.abs(jpegs.read(wanted).astype(int) - raw[wanted])
    assert error.mean() < 1.5
    assert error.max() < 16
    assert jpegs.path.stat().st_size < raw.nbytes / 5


def test_one_thread_reads_what_many_do(episodes: EpisodeSet, tmp_path: Path) -> None:
    cache = jpeg_cache(episodes, tmp_path / "frames", workers=1)
    one, many = (JpegFrames(cache.path, cache.shape, threads).read(range(12)) for threads in (1, 5))
    assert (one == many).all()
    assert cache.read([]).shape == (0, HEIGHT, WIDTH, 3)


def test_the_cache_follows_episodes_and_format(episodes: EpisodeSet, tmp_path: Path) -> None:
    """One folder holds one cache, whichever form was asked for last."""
    cache = tmp_path / "cache"

    def names() -> set[str]:
        return {path.name for path in cache.iterdir()}

    jpeg_cache(episodes, cache / "frames", workers=1)
    assert names() == {"frames.jpegs", "frames.npy", "frames.json"}
    made = (cache / "frames.jpegs").stat().st_mtime_ns
    jpeg_cache(episodes, cache / "frames", workers=1)
    assert (cache / "frames.jpegs").stat().st_mtime_ns == made
    decode_cache(episodes, cache / "frames", workers=1)
    assert names() == {"frames.u8", "frames.json"}
    assert len(jpeg_cache(episodes, cache / "frames", workers=1)) == 12
    assert names() == {"frames.jpegs", "frames.npy", "frames.json"}
    more = record(tmp_path / "data", 3, 2)
    assert len(jpeg_cache(more, cache / "frames", workers=1)) == 15


def test_frames_are_encoded_by_several_processes_in_order(
    episodes: EpisodeSet, tmp_path: Path
) -> None:
    one = jpeg_cache(episodes, tmp_path / "one", workers=1)
    two = jpeg_cache(episodes, tmp_path / "two", workers=2)
    assert (one.read(range(12)) == two.read(range(12))).all()


@pytest.mark.parametrize("damaged", ["frames.jpegs", "frames.npy"])
def test_a_file_cut_off_is_said(episodes: EpisodeSet, tmp_path: Path, damaged: str) -> None:
    jpeg_cache(episodes, tmp_path / "frames", workers=1)
    path = tmp_path / damaged
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CaptureError, match=rf"{damaged} is damaged: .* delete .*frames\.json"):
        jpeg_cache(episodes, tmp_path / "frames", workers=1)
    (tmp_path / "frames.json").unlink()
    assert len(jpeg_cache(episodes, tmp_path / "frames", workers=1)) == 12


def test_offsets_that_are_no_plain_numbers_are_refused(
    episodes: EpisodeSet, tmp_path: Path
) -> None:
    jpeg_cache(episodes, tmp_path / "frames", workers=1)
    np.save(tmp_path / "frames.npy", np.array([{"run": "me"}], object), allow_pickle=True)
    with pytest.raises(CaptureError, match="is damaged"):
        jpeg_cache(episodes, tmp_path / "frames", workers=1)


def test_a_frame_that_is_no_picture_is_named(episodes: EpisodeSet, tmp_path: Path) -> None:
    cache = jpeg_cache(episodes, tmp_path / "frames", workers=1)
    begins = np.load(tmp_path / "frames.npy", allow_pickle=False)
    spoilt = bytearray(cache.path.read_bytes())
    spoilt[begins[3] : begins[4]] = bytes(begins[4] - begins[3])
    cache.path.write_bytes(spoilt)
    again = jpeg_cache(episodes, tmp_path / "frames", workers=1)
    again.read([2, 4])
    with pytest.raises(CaptureError, match="frame 3 is no JPEG"):
        again.read([2, 3, 4])


def test_a_full_disk_is_said_before_it_is_full(
    episodes: EpisodeSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(CaptureError, match=r"0\.0 GB free"):
        jpeg_cache(episodes, tmp_path / "frames", workers=1)
    assert not list(tmp_path.glob("frames*"))


def test_colour_is_kept_whole(episodes: EpisodeSet, tmp_path: Path) -> None:
    """By the frame's header: each of the three parts has a sample for every pixel."""
    cache = jpeg_cache(episodes, tmp_path / "frames", workers=1)
    head = cache.path.read_bytes()[: np.load(tmp_path / "frames.npy", allow_pickle=False)[1]]
    begin = head.index(b"\xff\xc0")
    assert [head[begin + 11 + 3 * k] for k in range(3)] == [0x11, 0x11, 0x11]

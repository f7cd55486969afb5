"""Broken videos: the caches name them, are built without them, and remember them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder import (
    BrokenVideosError,
    EpisodeSet,
    decode_cache,
    jpeg_cache,
    open_readable,
    without_broken,
)
from tests.recorder.damaged_captures import STEPS, record, spoil_picture

CACHES = pytest.mark.parametrize("cache", [decode_cache, jpeg_cache])
Cache = Callable[..., Any]


@pytest.fixture
def episodes(tmp_path: Path) -> EpisodeSet:
    """Four episodes of other lengths, of which the second and the last do not decode."""
    folders = [record(tmp_path / "data", seed, STEPS + seed) for seed in range(4)]
    for folder in (folders[1], folders[3]):
        spoil_picture(folder)
    opened = {e.folder: e for e in open_readable(tmp_path / "data")}
    return EpisodeSet([opened[folder] for folder in folders])


def read(frames: Any, indices: list[int]) -> list[int]:
    pictures = frames.read(indices) if hasattr(frames, "read") else frames[indices]
    return [round(value / 20) for value in pictures.mean((1, 2, 3)).tolist()]


@CACHES
def test_a_cache_names_all_that_do_not_decode(
    episodes: EpisodeSet, cache: Cache, tmp_path: Path
) -> None:
    with pytest.raises(BrokenVideosError, match="2 of 4 videos do not decode") as caught:
        cache(episodes, tmp_path / "cache/frames", workers=1)
    assert list(caught.value.reasons) == [1, 3]
    assert all("main.mp4" in why for why in caught.value.reasons.values())
    assert list((tmp_path / "cache").iterdir()) == []


@CACHES
def test_a_cache_is_built_without_them(episodes: EpisodeSet, cache: Cache, tmp_path: Path) -> None:
    calls: list[int] = []

    def make(some: EpisodeSet) -> Any:
        calls.append(len(some))
        return cache(some, tmp_path / "cache/frames", workers=1)

    usable, frames = without_broken(episodes, tmp_path / "cache/frames", make)
    assert list(usable) == [episodes[0], episodes[2]]
    assert [skipped.source for skipped in usable.skipped] == [episodes[1].id, episodes[3].id]
    assert len(frames) == usable.steps == 2 * STEPS + 2
    assert read(frames, [0, 1, STEPS, STEPS + 1]) == [0, 1, 0, 1]
    assert calls == [4, 2]

    again, frames = without_broken(episodes, tmp_path / "cache/frames", make)
    assert (list(again), again.skipped) == (list(usable), usable.skipped)
    assert len(frames) == usable.steps
    assert calls == [4, 2, 2]


def test_a_mended_video_is_tried_again(episodes: EpisodeSet, tmp_path: Path) -> None:
    path = tmp_path / "cache/frames"
    whole = (episodes[0].folder / "video/main.mp4").read_bytes()

    def make(some: EpisodeSet) -> np.ndarray[Any, Any]:
        return decode_cache(some, path, workers=1)

    without_broken(episodes, path, make)
    (episodes[1].folder / "video/main.mp4").write_bytes(whole)
    usable, _ = without_broken(episodes, path, make)
    assert [skipped.source for skipped in usable.skipped] == [episodes[1].id, episodes[3].id]
    shorter = EpisodeSet([episodes[0], episodes[2]])
    (path.with_suffix(".broken")).write_text("[")  # what cannot be read is forgotten
    assert len(without_broken(shorter, path, make)[0]) == 2

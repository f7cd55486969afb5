"""Opening of episodes: every finished capture under a folder that has a step."""

from pathlib import Path

import numpy as np
import pytest

from games.voxel import SPEC
from recorder import CaptureError, CaptureInfo, CaptureWriter, open_episodes


def record(root: Path, steps: int) -> Path:
    with CaptureWriter.create(root, SPEC, CaptureInfo()) as capture:
        for _ in range(steps):
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), {})
    return capture.folder


def test_captures_without_a_step_are_skipped(tmp_path: Path) -> None:
    record(tmp_path, 0)
    with pytest.raises(CaptureError, match="no episodes"):
        open_episodes(tmp_path)
    folder = record(tmp_path, 1)
    assert [episode.folder for episode in open_episodes(tmp_path)] == [folder]
    assert len(open_episodes(folder)) == 1


def test_a_capture_under_way_is_left_out(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        capture.step(np.zeros(SPEC.frame.shape, np.uint8), {})
        with pytest.raises(CaptureError, match=r"no episodes .*what is being recorded"):
            open_episodes(tmp_path)
        folder = record(tmp_path, 1)
        episodes = open_episodes(tmp_path)
    assert ([e.folder for e in episodes], episodes.skipped) == ([folder], ())

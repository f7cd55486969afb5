"""Statistics of features: those of frames are exact, one frame at a time."""

import numpy as np
import pytest

from recorder import CaptureError
from recorder.formats.lerobot.statistics import frame_stats


def test_frames_one_at_a_time_have_the_statistics_of_all() -> None:
    frames = np.random.default_rng(0).integers(3, 250, (9, 12, 20, 3), np.uint8)
    stats = frame_stats(iter(frames))
    values = frames.reshape(-1, 3) / 255.0
    for name in ("min", "max", "mean", "std"):
        wanted = getattr(values, name)(0).reshape(3, 1, 1)
        assert np.array(stats[name]) == pytest.approx(wanted, rel=0, abs=1e-12)
    assert stats["count"] == [9]
    with pytest.raises(CaptureError, match="no frame can be decoded"):
        frame_stats([])

"""Frame resizing: every new pixel is the mean of the area it covers, at any size."""

import numpy as np
import pytest
from numpy.typing import NDArray

from games.resize import resize_frame


def area_weights(old: int, new: int) -> NDArray[np.float64]:
    """(new, old): how much of each new pixel along one side comes from each old one; rows add up to 1."""
    edges = np.arange(new + 1) * old / new
    low = np.maximum(edges[:-1, None], np.arange(old))
    high = np.minimum(edges[1:, None], np.arange(1, old + 1))
    covered: NDArray[np.float64] = np.clip(high - low, 0, None) * new / old
    return covered


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((72, 128), (36, 64)),  # a whole factor
        ((180, 320), (72, 128)),
        ((61, 67), (17, 31)),
        ((40, 30), (77, 64)),  # larger
        ((30, 200), (77, 64)),  # taller and narrower: INTER_AREA in one pass would skip columns
        ((200, 30), (64, 77)),
        ((50, 64), (50, 20)),  # one axis stays
        ((8, 8), (8, 8)),
    ],
)
def test_new_pixels_are_means_of_areas(old: tuple[int, int], new: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*old, 3), np.uint8)
    rows, columns = area_weights(old[0], new[0]), area_weights(old[1], new[1])
    exact = np.einsum("hH,wW,HWc->hwc", rows, columns, frame.astype(np.float64))
    resized = resize_frame(frame, *new)
    assert resized.shape == (*new, 3)
    assert resized.dtype == np.uint8
    assert np.abs(resized - exact).max() < 1.5  # rounded once, where it shrinks and grows twice


def test_a_whole_factor_there_and_back_is_exact() -> None:
    checks = np.indices((8, 12)).sum(0) % 2 * 200
    frame = np.repeat(checks[..., None], 3, 2).astype(np.uint8)
    assert (resize_frame(frame, 4, 6) == 100).all()
    assert (resize_frame(resize_frame(frame, 16, 36), 8, 12) == frame).all()


def test_a_frame_of_the_right_size_is_itself() -> None:
    frame = np.zeros((8, 12, 3), np.uint8)
    assert resize_frame(frame, 8, 12) is frame

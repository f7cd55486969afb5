"""Console pictures: small JPEGs of whatever a game may legally send."""

import numpy as np
import pytest

from bridges.protocol.frames import unpack
from bridges.serving.console_pictures import console_picture


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((1, 65501), (1, 640)),
        ((65501, 1), (640, 1)),
        ((1, 65535), (1, 640)),
        ((720, 1280), (360, 640)),
        ((16, 24), (16, 24)),
        ((1, 1), (1, 1)),
    ],
)
def test_no_side_is_longer_than_a_console_shows(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    frame = np.full((*size, 3), (200, 100, 50), np.uint8)
    picture = unpack(console_picture(frame, 7, 9, "5f0c2a91", longest_side=640))
    assert (picture.height, picture.width) == shown
    assert (picture.number, picture.t_ns) == (7, 9)
    assert picture.meta == b'{"session": "5f0c2a91"}'
    assert np.abs(picture.decode().astype(int) - (200, 100, 50)).max() < 12

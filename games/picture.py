"""How does a picture come to another size? Every new pixel is the mean of the area it covers; numpy alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from games.env import Frame


def resize(picture: Frame, height: int, width: int) -> Frame:
    """A picture (H, W, 3) uint8 stretched to (height, width, 3), a new array."""
    rows, columns = shares(picture.shape[0], height), shares(picture.shape[1], width)
    tall = np.tensordot(rows, picture.astype(np.float32), 1)  # (height, W, 3)
    mean: NDArray[np.float32] = np.einsum("hwc,vw->hvc", tall, columns, optimize=True)
    return np.rint(mean).astype(np.uint8)


@lru_cache(maxsize=32)
def shares(old: int, new: int) -> NDArray[np.float32]:
    """(new, old): how much of each new pixel along one side comes from each old one; rows add up to 1."""
    edges = np.arange(new + 1) * old / new
    low = np.maximum(edges[:-1, None], np.arange(old))
    high = np.minimum(edges[1:, None], np.arange(1, old + 1))
    covered: NDArray[np.float64] = np.clip(high - low, 0, None)
    return (covered * new / old).astype(np.float32)

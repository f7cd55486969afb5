"""Head-up display: crosshair, breaking bar and collected items, drawn over a frame."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from games.env import Frame
from games.voxel.player import Player

SLOTS = ("wood", "beef", "pork", "dirt", "stone")
_COLOURS = {
    "wood": (150, 104, 54),
    "beef": (176, 40, 36),
    "pork": (246, 156, 170),
    "dirt": (128, 92, 60),
    "stone": (140, 140, 146),
}


def draw_hud(frame: Frame, player: Player, mining: float) -> Frame:
    """Draw onto `frame` (height, width, 3) in place and return it; sizes follow the frame's height."""
    height, width = frame.shape[:2]
    unit = max(1, height // 72)
    middle_y, middle_x = height // 2, width // 2
    arm = 2 * unit
    for area in (
        frame[middle_y - arm : middle_y + arm + unit, middle_x : middle_x + unit],
        frame[middle_y : middle_y + unit, middle_x - arm : middle_x + arm + unit],
    ):
        area[:] = np.where(area > 127, 20, 240)
    if mining > 0:
        bar = 10 * unit
        top = middle_y + 5 * unit
        frame[top : top + 2 * unit, middle_x - bar : middle_x + bar] = (30, 30, 30)
        frame[top : top + 2 * unit, middle_x - bar : middle_x - bar + int(2 * bar * mining)] = (
            250,
            250,
            250,
        )
    size = 9 * unit
    left = middle_x - (size + unit) * len(SLOTS) // 2
    top = height - size - unit
    for i, item in enumerate(SLOTS):
        x = left + i * (size + unit)
        slot = frame[top : top + size, x : x + size]
        slot[:] = slot // 2 + 10
        if player.inventory.get(item):
            slot[_disc(size)] = _COLOURS[item]
    return frame


@lru_cache(maxsize=8)
def _disc(size: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    inside: NDArray[np.bool_] = np.hypot(x, y) < size * 0.42
    return inside

"""Mouse cursor: a small arrow drawn into frames in which a menu is open.

The desktop draws the pointer, so recordings of the game's own frames lack it. Without it the frame does not show what a
click in the inventory is aimed at.
"""

from __future__ import annotations

import cv2
import numpy as np

from games import Frame

ARROW = np.array(((0, 0), (0, 13), (4, 9), (10, 9)), np.int32)
"""Corners (x, y) in pixels of a frame of height 360, the tip first."""


def with_cursor(frame: Frame, x: float, y: float) -> Frame:
    """A copy of a frame (H, W, 3) with an arrow whose tip is at pixel (x, y), as far as it is inside."""
    height, width = frame.shape[:2]
    tip = np.clip((x, y), -height - width, 2 * (height + width))  # far outside is outside
    corners = np.rint(tip + ARROW * (height / 360)).astype(np.int32)
    marked = frame.copy()
    cv2.fillPoly(marked, [corners], (255, 255, 255))
    cv2.polylines(marked, [corners], True, (0, 0, 0))
    return marked

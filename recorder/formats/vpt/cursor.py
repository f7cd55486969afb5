"""Where is the pointer while a menu is open? A small arrow is drawn where the mouse is.

Recorders of the game's own picture miss the pointer, since the desktop draws it: without it, nobody could tell from
the picture what a click in the inventory is aimed at.
"""

from __future__ import annotations

import cv2
import numpy as np

from games import Frame

ARROW = np.array(((0, 0), (0, 13), (4, 9), (10, 9)), np.int32)
"""Corners (x, y) in pixels of a picture 360 high, the tip first."""


def with_cursor(frame: Frame, x: float, y: float) -> Frame:
    """A copy of a picture (H, W, 3) with an arrow whose tip is at pixel (x, y), as far as it is inside."""
    height, width = frame.shape[:2]
    tip = np.clip((x, y), -height - width, 2 * (height + width))  # far outside is outside
    corners = np.rint(tip + ARROW * (height / 360)).astype(np.int32)
    marked = frame.copy()
    cv2.fillPoly(marked, [corners], (255, 255, 255))
    cv2.polylines(marked, [corners], True, (0, 0, 0))
    return marked

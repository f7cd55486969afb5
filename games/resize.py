"""Frame resizing: the one way in which training, play and import bring a frame to another size.

A model that learned from frames of one resizing must be shown the same in play. Frames are stretched, without borders
(no letterbox): a model sees all of a frame, and a game whose frames have other proportions is distorted alike in
training and in play. Every new pixel is the mean of the area that it covers, within 1.5 of 255 after rounding.
"""

from __future__ import annotations

import cv2
import numpy as np

from games.env import Frame


def resize_frame(frame: Frame, height: int, width: int) -> Frame:
    """A frame (H, W, 3) uint8 stretched to (height, width, 3); the frame itself where it has that size.

    OpenCV's `INTER_AREA` is the area's mean, but it takes every axis for an enlarged one as soon as one is, and then
    skips pixels of the shrunk axis. So axes that shrink come first, then those that grow.
    """
    old_height, old_width = frame.shape[:2]
    if (old_height, old_width) == (height, width):
        return frame
    smaller = (min(old_width, width), min(old_height, height))
    shrunk = cv2.resize(frame, smaller, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
